-- A batch of the x-ray table, typed. `raw` holds the batch, `view_names` the collection's mapping.
WITH read AS (
    SELECT
        raw.* EXCLUDE (view),
        as_date(study_date) AS study_day,
        as_date(birth_date) AS born,
        as_years(age) AS years,
        view AS view_text,
        coalesce(ours, upper(regexp_replace(view, '\s+', ' ', 'g'))) AS view,
        person($scope, hospital, upper(patient_id)) AS person,
        person($scope, hospital, bare(upper(patient_id))) AS bare_person
    FROM raw LEFT JOIN view_names ON lower(regexp_replace(view, '\s+', ' ', 'g')) = theirs
),
counted AS (SELECT *, completed_years(born, study_day) AS completed FROM read),
aged AS (
    SELECT
        *,
        CASE WHEN born IS NULL THEN years ELSE exact_years(born, study_day, completed) END AS exact_age,
        CASE WHEN born IS NULL THEN years < $minimum_age ELSE completed < $minimum_age END AS under_age
    FROM counted
),
-- Hashing costs more than all the rest: once a patient, once a birth date.
people AS (
    SELECT
        person,
        keyed(person) AS patient_key,
        unkeyed(person) AS patient_digest,
        bare_key(person, bare_person) AS bare_key
    FROM (SELECT DISTINCT person, bare_person FROM aged)
),
births AS (
    SELECT born, keyed('birth_date' || chr(31) || born) AS birth_digest FROM (SELECT DISTINCT born FROM aged)
)
SELECT
    $collection || '/' || row AS image_id,
    $collection AS collection,
    row,
    patient_key,
    bare_key,
    patient_digest,
    birth_digest,
    hospital,
    CASE WHEN list_contains($views, view) THEN view END AS view,
    CASE WHEN NOT list_contains($views, view) THEN shape(view_text) END AS view_found,
    study_day AS study_date,
    -- a day before the birthday is 17.99 years, not 18.00
    CASE WHEN exact_age BETWEEN 0 AND 120
         THEN least(round(exact_age, 2), CASE WHEN under_age THEN $minimum_age - 0.01 END) END AS age,
    coalesce(under_age, false) AS under_age,
    as_sex(sex) AS sex,
    nullif(concat_ws('; ',
        CASE WHEN patient_id IS NULL THEN 'patient_id: blank' END,
        CASE WHEN study_date IS NULL THEN 'study_date: blank'
             WHEN study_day IS NULL THEN 'study_date: ' || shape(study_date) || ' is not a date' END,
        CASE WHEN view_text IS NULL THEN 'view: blank' END,
        CASE WHEN file IS NULL THEN 'file: blank' END,
        CASE WHEN born IS NULL AND years IS NULL AND birth_date IS NOT NULL
             THEN 'birth_date: ' || shape(birth_date) || ' is not a date' END,
        CASE WHEN exact_age < 0 THEN 'birth_date: after study_date'
             WHEN exact_age > 120 AND born IS NOT NULL THEN 'birth_date: more than 120 years before study_date'
             WHEN exact_age > 120 OR born IS NULL AND years IS NULL AND age IS NOT NULL
             THEN 'age: ' || shape(age) || ' is not an age from 0 to 120'
             WHEN born IS NULL AND years IS NULL THEN 'age: blank' END), '') AS missing,
    replace(file, '\', '/') AS file
FROM aged LEFT JOIN people USING (person) LEFT JOIN births USING (born)
ORDER BY row
