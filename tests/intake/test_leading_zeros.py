from dataclasses import replace

from hnp_pipeline.intake.leading_zeros import leading_zero_warning


def test_a_warning_counts_and_names_no_one(deliver):
    first = deliver(
        "first",
        xrays="patient_id\n00123\n00123\n00124\nA7\n0\n",
        mri_readings="patient_id\n123\n124.0\nA7\n00\n",
        surgeries="patient_id\n00123\n123\n",
    )
    told = leading_zero_warning([first])
    assert told is not None
    assert "3 of first/mri_readings and first/xrays" in told
    assert "surgeries" not in told  # 00123 matches as it is
    assert "123" not in told
    second = deliver("second", xrays="patient_id\n124\n")
    assert "1 of first/xrays and second/xrays" in (leading_zero_warning([first, second]) or "")


def test_nothing_to_warn_about(deliver):
    same = deliver("same", xrays="patient_id\n00123\n", mri_readings="patient_id\n00123\n")
    broken = deliver("broken", xrays=b"patient_id\n\xff\n", mri_readings="patient_id\n123\n")
    problem = replace(broken, name="problem", problem="collection.toml cannot be used")
    told = leading_zero_warning([same, broken, problem])
    assert told is not None
    assert told.count(" of ") == 2  # both tables of `same` against the readings of `broken`
    assert leading_zero_warning([same, problem]) is None
    assert leading_zero_warning([]) is None
