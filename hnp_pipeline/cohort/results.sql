-- What comes out of the verdicts: the views `cohort_rows`, `exclusion_rows` and `flow_rows`.

CREATE TEMP VIEW cohort_rows AS
SELECT
    place,
    name_of(place) AS image_id,
    r.collection,
    split::VARCHAR AS split,
    fold::INTEGER AS fold,
    p.patient_key,
    r.hospital,
    r.view,
    r.sex,
    r.age,
    v.study_date AS xray_date,
    v.mri_date,
    (v.mri_date - v.study_date)::INTEGER AS interval_days,
    m.l1_2,
    m.l2_3,
    m.l3_4,
    m.l4_5,
    m.l5_s1,
    greatest(m.l1_2, m.l2_3, m.l3_4, m.l4_5, m.l5_s1) AS hnp,
    r.sha256
FROM verdicts v
JOIN placed r USING (place)
JOIN reading_days m ON m.patient = v.patient AND m.mri_date = v.mri_date
JOIN patients p ON p.patient = v.patient
LEFT JOIN folds ON folds.patient = v.patient AND split = 'development'
WHERE v.reason IS NULL;

-- As `3 MRI readings (mri_readings first/12 …)`.
CREATE TEMP MACRO counted(number, name, first) AS format(
    '{} {}{} (mri_readings {}{})', number, name, IF(number = 1, '', 's'), name_of(first), IF(number = 1, '', ' …')
);

-- The words of each detail lead to the rows that decided, and name no one.
CREATE TEMP TABLE out AS FROM verdicts WHERE reason IS NOT NULL;

CREATE TEMP VIEW exclusion_rows AS
WITH conflicting AS (  -- patients
    SELECT
        patient,
        concat_ws('; ',
            'two birth dates in ' || string_agg(DISTINCT collection, ', ' ORDER BY collection)
                FILTER (two_births AND birth_digest IS NOT NULL),
            'two sexes in ' || string_agg(DISTINCT collection, ', ' ORDER BY collection)
                FILTER (two_sexes AND sex IS NOT NULL)
        ) AS found
    FROM radiographs JOIN patients USING (patient_key)
    WHERE two_births OR two_sexes
    GROUP BY patient
),
shared AS (  -- images, each with the first row that has the same bytes under another patient
    SELECT a.place, min(b.place) AS other
    FROM copies a JOIN copies b ON a.sha256 = b.sha256 AND a.patient <> b.patient
    WHERE a.sha256 IN (FROM shared_images)
    GROUP BY a.place
),
blocked AS (  -- the nearest reading within the interval, and the first surgery between
    SELECT
        patient,
        study_date,
        mri_on(study_date, nearest) AS mri_date,
        list_filter(dates, lambda d: d BETWEEN least(study_date, mri_date) AND greatest(study_date, mri_date))[1]
            AS surgery_date
    FROM matches JOIN operations USING (patient)
    WHERE served IS NULL AND nearest // 2 <= getvariable('interval_days')
),
explained AS (
    SELECT out.*, 'the patient withdrew' AS detail
    FROM out WHERE reason = 'withdrawn'
    UNION ALL
    SELECT out.*, CASE reason
        WHEN 'missing_data' THEN coalesce(r.missing, 'patient, date or age')
        WHEN 'unreadable_image' THEN coalesce(r.unreadable, 'the image was not inspected')
        WHEN 'unknown_view' THEN 'view found: ' || coalesce(r.view_found, 'none')
        WHEN 'outside_study_period' THEN format('x-ray on {}; the study runs from {} to {}',
            r.study_date::VARCHAR, getvariable('study_start')::VARCHAR, getvariable('study_end')::VARCHAR)
        WHEN 'under_age' THEN format('{:.1f} years old on {}', floor(r.age * 10) / 10, r.study_date::VARCHAR)
        END
    FROM out JOIN placed r USING (place)
    WHERE reason IN ('missing_data', 'unreadable_image', 'unknown_view', 'outside_study_period', 'under_age')
    UNION ALL
    SELECT out.*, concat_ws('; ', found, 'the same image under another patient: ' || name_of(other))
    FROM out LEFT JOIN conflicting USING (patient) LEFT JOIN shared USING (place)
    WHERE reason = 'identity_conflict'
    UNION ALL
    SELECT out.*, 'no usable MRI reading in any collection'
    FROM out WHERE reason = 'no_mri_reading'
    UNION ALL
    SELECT out.*, CASE reason
        WHEN 'non_lumbar_reading' THEN format('{}, none of the lumbar spine', counted(days, 'MRI reading', first))
        ELSE format('{}, none labelled at all five levels', counted(lumbar_days, 'lumbar MRI reading', first_lumbar))
        END
    FROM out JOIN reading_counts USING (patient)
    WHERE reason IN ('non_lumbar_reading', 'unlabelled_reading')
    UNION ALL
    SELECT out.*, format('nearest labelled lumbar reading is {} days {} (mri_readings {})',
        nearest // 2, IF(nearest % 2 = 0, 'later', 'earlier'), name_of(first))
    FROM out
    JOIN matches USING (patient, study_date)
    JOIN reading_days d ON d.patient = out.patient AND d.mri_date = mri_on(out.study_date, nearest)
    WHERE reason = 'outside_interval'
    UNION ALL
    SELECT out.*, format('x-ray {}, MRI {}, surgery {}', study_date::VARCHAR, blocked.mri_date::VARCHAR,
        coalesce('on ' || surgery_date::VARCHAR, 'without a readable date'))
    FROM out JOIN blocked USING (patient, study_date)
    WHERE reason = 'surgery_between'
    UNION ALL
    SELECT out.*, 'another image of the same bytes: ' || name_of(first)
    FROM out JOIN duplicates USING (place)
    WHERE reason = 'duplicate_image'
    UNION ALL
    SELECT out.*, 'the patient is in the development cohort: ' || name_of(first)
    FROM out JOIN development USING (patient)
    WHERE reason = 'in_development'
)
SELECT
    place,
    name_of(place) AS image_id,
    collection_of(place) AS collection,
    patient_key,
    reason::VARCHAR AS reason,
    detail
FROM explained LEFT JOIN patients USING (patient);

-- Images and patients before any rule (step 0) and after each. A row without a patient is an image of no patient.
CREATE TEMP VIEW flow_rows AS
WITH steps AS (
    SELECT split, step, CASE WHEN step > 0 THEN enum_range(NULL::reason_name)[step]::reason_name END AS reason
    FROM unnest(enum_range(NULL::split_name)) s(split), range(len(enum_range(NULL::reason_name)) + 1) t(step)
),
left_images AS (SELECT split, reason, count(*) AS images FROM verdicts GROUP BY split, reason),
left_patients AS (  -- a patient leaves with the last image, or (reason null) not at all
    SELECT split, reason, count(*) AS patients
    FROM (
        SELECT split, CASE WHEN bool_and(reason IS NOT NULL) THEN max(reason) END AS reason
        FROM verdicts
        WHERE patient IS NOT NULL
        GROUP BY split, patient
    )
    GROUP BY ALL
),
counted AS (
    SELECT
        split,
        step,
        reason,
        coalesce(images, 0) AS images,
        coalesce(patients, 0) AS patients,
        (SELECT coalesce(sum(t.images), 0) FROM left_images t WHERE t.split = steps.split) AS all_images,
        (SELECT coalesce(sum(t.patients), 0) FROM left_patients t WHERE t.split = steps.split) AS all_patients,
        reason IS DISTINCT FROM 'surgery_between' OR getvariable('surgeries_given') AS applied
    FROM steps LEFT JOIN left_images USING (split, reason) LEFT JOIN left_patients USING (split, reason)
)
SELECT
    split,
    step::INTEGER AS step,
    reason::VARCHAR AS reason,
    CASE WHEN applied THEN images END AS images_excluded,
    CASE WHEN applied THEN patients END AS patients_excluded,
    (all_images - sum(images) OVER so_far)::BIGINT AS images_remaining,
    (all_patients - sum(patients) OVER so_far)::BIGINT AS patients_remaining
FROM counted
WINDOW so_far AS (PARTITION BY split ORDER BY step);
