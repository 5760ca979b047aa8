-- A batch of the table of MRI readings, typed. `raw` holds the batch.
CREATE OR REPLACE TEMP TABLE typed AS
WITH read AS (
    SELECT
        raw.*,
        as_date(mri_date) AS day,
        person($scope, hospital, upper(patient_id)) AS person,
        person($scope, hospital, bare(upper(patient_id))) AS bare_person
    FROM raw
),
people AS (
    SELECT person, keyed(person) AS patient_key, bare_key(person, bare_person) AS bare_key
    FROM (SELECT DISTINCT person, bare_person FROM read)
)
SELECT
    $collection AS collection,
    row,
    patient_key,
    bare_key,
    day AS mri_date,
    coalesce(regexp_matches(as_words(body_part), $lumbar), false) AS lumbar,
    as_label(read.l1_2) AS l1_2,
    as_label(read.l2_3) AS l2_3,
    as_label(read.l3_4) AS l3_4,
    as_label(read.l4_5) AS l4_5,
    as_label(read.l5_s1) AS l5_s1,
    reading,
    -- what cannot be used, the first of it first
    list_filter([
        CASE WHEN patient_id IS NULL THEN unusable('patient_id', patient_id) END,
        CASE WHEN day IS NULL THEN unusable('mri_date', read.mri_date) END,
        unlabelled('l1_2', read.l1_2),
        unlabelled('l2_3', read.l2_3),
        unlabelled('l3_4', read.l3_4),
        unlabelled('l4_5', read.l4_5),
        unlabelled('l5_s1', read.l5_s1)
    ], lambda found: found IS NOT NULL) AS problems
FROM read LEFT JOIN people USING (person)
