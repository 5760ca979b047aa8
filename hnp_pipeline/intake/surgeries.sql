-- A batch of the table of surgeries, typed. `raw` holds the batch.
CREATE OR REPLACE TEMP TABLE typed AS
WITH read AS (
    SELECT
        raw.*,
        as_date(surgery_date) AS day,
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
    day AS surgery_date,
    coalesce(list_contains($sites, as_words(site)), false) AS lumbar_disc,
    list_filter([
        CASE WHEN patient_id IS NULL THEN unusable('patient_id', patient_id) END,
        CASE WHEN day IS NULL THEN unusable('surgery_date', read.surgery_date) END
    ], lambda found: found IS NOT NULL) AS problems
FROM read LEFT JOIN people USING (person)
