-- The rules of the cohort (design 4), from the views `radiographs`, `readings`, `surgeries`, the tables `roles` and
-- `withdrawn`, the types `collection_name`, `split_name`, `reason_name` (an enum in the order in which the rules are
-- asked) and the variables `study_start`, `study_end`, `interval_days`. Ends with `verdicts`, a row an x-ray row.
--
-- Kept narrow on purpose: a row goes by one number, its place, a patient by another, and the wide rows are joined at
-- the end. Places have the order of (collection, row).

CREATE TEMP MACRO place(collection, row) AS enum_code(collection::collection_name)::BIGINT * 1_000_000_000_000 + row;
CREATE TEMP MACRO collection_of(place) AS enum_range(NULL::collection_name)[place // 1_000_000_000_000 + 1];
CREATE TEMP MACRO name_of(place) AS collection_of(place) || '/' || place % 1_000_000_000_000;

CREATE TEMP VIEW placed AS SELECT *, place(collection, row) AS place FROM radiographs;

-- Every patient with an x-ray row. All the patient's rows count, also those that another rule excludes.
CREATE TEMP TABLE patients AS
SELECT
    row_number() OVER ()::INTEGER AS patient,
    patient_key,
    patient_digest,
    coalesce(first_birth <> last_birth, false) AS two_births,
    coalesce(first_sex <> last_sex, false) AS two_sexes,
    w.patient_key IS NOT NULL AS withdrawn
FROM (
    SELECT
        patient_key,
        any_value(patient_digest) AS patient_digest,
        min(IF(birth_digest IS NULL, NULL, hash(birth_digest))) AS first_birth,
        max(IF(birth_digest IS NULL, NULL, hash(birth_digest))) AS last_birth,
        min(sex) AS first_sex,
        max(sex) AS last_sex
    FROM radiographs
    WHERE patient_key IS NOT NULL
    GROUP BY patient_key
)
LEFT JOIN (SELECT DISTINCT patient_key FROM withdrawn) w USING (patient_key);

-- Readings of one patient on one day count as one, before anything is asked of them: lumbar if any is, positive at a
-- level if any says so, negative if none does and at least one says no. `first`: the place of the first of them.
CREATE TEMP TABLE reading_days AS
SELECT
    patient,
    mri_date,
    bool_or(lumbar) AS lumbar,
    max(l1_2) AS l1_2,
    max(l2_3) AS l2_3,
    max(l3_4) AS l3_4,
    max(l4_5) AS l4_5,
    max(l5_s1) AS l5_s1,
    bool_or(lumbar) AND max(l1_2) + max(l2_3) + max(l3_4) + max(l4_5) + max(l5_s1) IS NOT NULL AS labelled,
    min(place(collection, row)) AS first
FROM readings JOIN patients USING (patient_key)
WHERE mri_date IS NOT NULL
GROUP BY patient, mri_date;

CREATE TEMP TABLE reading_counts AS
SELECT
    patient,
    count(*) AS days,
    count(*) FILTER (lumbar) AS lumbar_days,
    count(*) FILTER (labelled) AS labelled_days,
    min(first) AS first,
    min(first) FILTER (lumbar) AS first_lumbar
FROM reading_days
GROUP BY patient;

CREATE TEMP TABLE operations AS
SELECT patient, list(surgery_date ORDER BY surgery_date) FILTER (surgery_date IS NOT NULL) AS dates,
    bool_or(surgery_date IS NULL) AS undated
FROM surgeries JOIN patients USING (patient_key)
WHERE lumbar_disc
GROUP BY patient;

-- The rules that ask a row or its patient alone; `image` is the hash of the readable image's own.
CREATE TEMP TABLE rows AS
SELECT
    r.place,
    split,
    p.patient,
    r.study_date,
    IF(r.unreadable IS NULL AND r.sha256 IS NOT NULL, hash(r.sha256), NULL) AS image,
    CASE
        WHEN p.withdrawn THEN 'withdrawn'
        WHEN r.missing IS NOT NULL OR p.patient IS NULL OR r.study_date IS NULL OR r.age IS NULL THEN 'missing_data'
        WHEN p.two_births OR p.two_sexes THEN 'identity_conflict'
        WHEN r.unreadable IS NOT NULL OR r.sha256 IS NULL THEN 'unreadable_image'
        WHEN r.view IS NULL THEN 'unknown_view'
        WHEN r.study_date NOT BETWEEN getvariable('study_start') AND getvariable('study_end')
            THEN 'outside_study_period'
        WHEN r.under_age THEN 'under_age'
        WHEN n.patient IS NULL THEN 'no_mri_reading'
        WHEN n.lumbar_days = 0 THEN 'non_lumbar_reading'
        WHEN n.labelled_days = 0 THEN 'unlabelled_reading'
    END::reason_name AS reason
FROM placed r
JOIN roles ON roles.collection = r.collection::collection_name
LEFT JOIN patients p USING (patient_key)
LEFT JOIN reading_counts n USING (patient);

-- Readable images whose bytes stand in more than one row. Found by a 64-bit hash, which takes a tenth of the memory,
-- then compared in full.
CREATE TEMP TABLE copies AS
WITH candidates AS (
    SELECT place, patient
    FROM rows
    WHERE image IN (SELECT image FROM rows GROUP BY image HAVING count(*) > 1)
)
SELECT place, patient, sha256
FROM candidates JOIN placed USING (place);

-- A withdrawn patient's rows count here: the picture filed under another id may be theirs.
CREATE TEMP TABLE shared_images AS
SELECT sha256
FROM copies
GROUP BY sha256
HAVING min(patient) <> max(patient);

-- Reasons have the order of the rules, so the earlier of two is the less.
CREATE TEMP VIEW images AS
SELECT
    place,
    split,
    patient,
    study_date,
    IF(place IN (SELECT place FROM copies WHERE sha256 IN (FROM shared_images)),
        least(reason, 'identity_conflict'::reason_name), reason) AS reason
FROM rows;

CREATE TEMP MACRO mri_on(study_date, rank) AS
    study_date + CASE WHEN rank % 2 = 0 THEN rank // 2 ELSE -(rank // 2) END;

-- Each day on which a patient was x-rayed with each labelled lumbar reading of the patient. `rank`: the nearest
-- first, of two equally near the later; it is enough to find the date again.
CREATE TEMP TABLE matches AS
WITH visits AS (
    SELECT DISTINCT patient, study_date FROM images WHERE reason IS NULL
),
pairs AS (
    SELECT
        patient,
        study_date,
        abs(mri_date - study_date)::INTEGER AS days,
        2 * days + (mri_date < study_date)::INTEGER AS rank,
        least(study_date, mri_date) AS start,
        greatest(study_date, mri_date) AS stop,
        coalesce(undated OR len(list_filter(dates, lambda d: d BETWEEN start AND stop)) > 0, false) AS blocked
    FROM visits
    JOIN reading_days USING (patient)
    LEFT JOIN operations USING (patient)
    WHERE labelled
)
SELECT
    patient,
    study_date,
    min(rank) AS nearest,
    min(rank) FILTER (days <= getvariable('interval_days') AND NOT blocked) AS served
FROM pairs
GROUP BY patient, study_date;

CREATE TEMP TABLE verdicts AS
SELECT
    place,
    split,
    patient,
    study_date,
    mri_on(study_date, served) AS mri_date,
    coalesce(
        reason,
        CASE
            WHEN nearest // 2 > getvariable('interval_days') THEN 'outside_interval'
            WHEN served IS NULL THEN 'surgery_between'
        END::reason_name
    ) AS reason
FROM images LEFT JOIN matches USING (patient, study_date);

-- Of a patient's images with the same bytes that got this far, the lowest (collection, row) stays.
CREATE TEMP TABLE duplicates AS
SELECT place, first
FROM (
    SELECT place, min(place) OVER (PARTITION BY v.patient, sha256) AS first
    FROM copies JOIN verdicts v USING (place)
    WHERE reason IS NULL
)
WHERE place <> first;

UPDATE verdicts SET reason = 'duplicate_image'
FROM duplicates d
WHERE verdicts.place = d.place;

CREATE TEMP TABLE development AS
SELECT patient, min(place) AS first
FROM verdicts
WHERE reason IS NULL AND split = 'development'
GROUP BY patient;

UPDATE verdicts SET reason = 'in_development'
FROM development d
WHERE verdicts.patient = d.patient AND split = 'test' AND reason IS NULL;
