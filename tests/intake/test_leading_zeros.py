import pyarrow as pa
import pytest

from hnp_pipeline.intake.leading_zeros import leading_zero_warning
from hnp_pipeline.intake.mri_readings import read_mri_readings
from hnp_pipeline.intake.surgeries import read_surgeries
from hnp_pipeline.intake.withdrawn import read_withdrawn
from hnp_pipeline.intake.xrays import read_xrays
from hnp_pipeline.study import Intake

XRAYS = "patient_id,study_date,view,file,age\n"
READINGS = "patient_id,mri_date,body_part,reading\n"
SURGERIES = "patient_id,surgery_date,site\n"


def _xrays(*ids: str) -> str:
    return XRAYS + "".join(f"{i},2020-03-01,AP,a.jpg,40\n" for i in ids)


def _readings(*ids: str) -> str:
    return READINGS + "".join(f"{i},2020-03-01,L-SPINE,normal\n" for i in ids)


@pytest.mark.parametrize("scope", ["study", "hospital"])
def test_a_warning_counts_and_names_no_one(deliver, key, tmp_path, scope):
    settings = Intake(patient_scope=scope)
    hospital = lambda text: "\n".join(  # noqa: E731 - a column more
        line + (",hospital" if n == 0 else ",Seoul") for n, line in enumerate(text.splitlines())
    )
    first = deliver(
        "first",
        xrays=hospital(_xrays("00123", "00123", "00124", "A7", "0")),
        mri_readings=hospital(_readings("123", "124.0", "A7", "00")),
        surgeries=hospital(SURGERIES + "00123,2020-03-01,lumbar_disc\n123,2020-03-01,lumbar_disc\n"),
    )
    sources = {
        "first/xrays": read_xrays(first, settings, key),
        "first/mri_readings": read_mri_readings(first, settings, key)[0],
        "first/surgeries": read_surgeries(first, settings, key)[0],
    }
    told = leading_zero_warning(sources)
    assert told is not None
    assert "3 of first/mri_readings and first/xrays" in told
    assert "surgeries" not in told  # 00123 matches as it is
    assert "123" not in told


def test_labels_delivered_apart_and_a_withdrawal(deliver, key, tmp_path):
    pictures = deliver("pictures", xrays=_xrays("00124", "00125", "7"))
    labels = deliver("labels", mri_readings=_readings("124", "00125", "8"))
    (tmp_path / "withdrawn.csv").write_text("patient_id\n125\n")
    told = leading_zero_warning(
        {
            "pictures/xrays": read_xrays(pictures, Intake(), key),
            "labels/mri_readings": read_mri_readings(labels, Intake(), key)[0],
            "withdrawn": read_withdrawn(tmp_path, Intake(), key),
        }
    )
    assert told is not None
    assert "1 of labels/mri_readings and pictures/xrays" in told
    assert "1 of pictures/xrays and withdrawn" in told
    assert "1 of labels/mri_readings and withdrawn" in told


def test_nothing_to_warn_about(deliver, key):
    same = deliver("same", xrays=_xrays("00123", "A0"), mri_readings=_readings("00123", "0A0"))
    sources: dict[str, pa.Table] = {"x": read_xrays(same, Intake(), key)}
    assert leading_zero_warning(sources) is None
    assert leading_zero_warning({}) is None
    sources["r"] = read_mri_readings(same, Intake(), key)[0].slice(0, 1)
    assert leading_zero_warning(sources) is None
