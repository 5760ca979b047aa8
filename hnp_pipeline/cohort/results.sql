-- What comes out of the verdicts: the views `cohort_rows`, `exclusion_rows` and `flow_rows`.

CREATE TEMP VIEW cohort_rows AS
SELECT
    v.row,
    r.image_id,
    r.collection,
    split::VARCHAR AS split,
    fold::INTEGER AS fold,
    r.patient_key,
    r.hospital,
    r.view,
    r.sex,
    r.age,
    r.study_date AS xray_date,
    m.mri_date,
    (m.mri_date - r.study_date)::INTEGER AS interval_days,
    m.l1_2,
    m.l2_3,
    m.l3_4,
    m.l4_5,
    m.l5_s1,
    greatest(m.l1_2, m.l2_3, m.l3_4, m.l4_5, m.l5_s1) AS hnp,
    r.sha256
FROM verdicts v
JOIN radiographs r ON v.collection = r.collection::collection_name AND v.row = r.row
JOIN roles ON roles.collection = v.collection
JOIN reading_days m ON m.patient = v.patient AND m.mri_date = v.mri_date
LEFT JOIN folds ON folds.patient = v.patient AND split = 'development'
WHERE v.reason IS NULL;

-- The words of each reason's detail. They lead to the rows that decided, and name no one.
CREATE TEMP VIEW exclusion_rows AS
WITH conflicts AS (  -- of the patient
    SELECT
        p.patient,
        concat_ws('; ',
            'two birth dates in ' || string_agg(DISTINCT r.collection, ', ' ORDER BY r.collection)
                FILTER (p.two_births AND r.birth_digest IS NOT NULL),
            'two sexes in ' || string_agg(DISTINCT r.collection, ', ' ORDER BY r.collection)
                FILTER (p.two_sexes AND r.sex IS NOT NULL)
        ) AS found
    FROM radiographs r JOIN patients p USING (patient_key)
    WHERE p.two_births OR p.two_sexes
    GROUP BY p.patient
),
others AS (  -- the first image with the same bytes under another patient
    SELECT a.collection, a.row, min({collection: b.collection, row: b.row}) AS other
    FROM copies a JOIN copies b ON a.sha256 = b.sha256 AND a.patient <> b.patient
    WHERE a.sha256 IN (FROM shared_images)
    GROUP BY a.collection, a.row
),
blocked AS (  -- the nearest reading within the interval, and the first surgery that lies between
    SELECT
        patient,
        study_date,
        mri_on(study_date, nearest) AS mri_date,
        list_filter(dates, lambda d: d BETWEEN least(study_date, mri_date) AND greatest(study_date, mri_date))[1]
            AS surgery_date
    FROM matches JOIN operations USING (patient)
    WHERE served IS NULL AND nearest // 2 <= getvariable('interval_days')
)
SELECT
    v.row,
    r.image_id,
    r.collection,
    r.patient_key,
    v.reason::VARCHAR AS reason,
    CASE v.reason
        WHEN 'withdrawn' THEN 'the patient withdrew'
        WHEN 'missing_data' THEN coalesce(r.missing, 'patient, date or age')
        WHEN 'identity_conflict' THEN concat_ws('; ', c.found,
            'the same image under another patient: ' || o.other.collection || '/' || o.other.row)
        WHEN 'unreadable_image' THEN coalesce(r.unreadable, 'the image was not inspected')
        WHEN 'unknown_view' THEN 'view found: ' || coalesce(r.view_found, 'none')
        WHEN 'outside_study_period' THEN format('x-ray on {}; the study runs from {} to {}',
            r.study_date::VARCHAR, getvariable('study_start')::VARCHAR, getvariable('study_end')::VARCHAR)
        WHEN 'under_age' THEN format('{:.1f} years on {}', floor(r.age * 10) / 10, r.study_date::VARCHAR)
        WHEN 'no_mri_reading' THEN 'no usable MRI reading in any collection'
        WHEN 'non_lumbar_reading' THEN format('MRI readings on {} days, none lumbar', n.days)
        WHEN 'unlabelled_reading'
            THEN format('lumbar MRI readings on {} days, none labelled at all five levels', n.lumbar_days)
        WHEN 'outside_interval' THEN format('nearest labelled lumbar reading is {} days {} (mri_readings {}/{})',
            m.nearest // 2, CASE WHEN m.nearest % 2 = 0 THEN 'later' ELSE 'earlier' END,
            d.source.collection, d.source.row)
        WHEN 'surgery_between' THEN format('x-ray {}, MRI {}, surgery {}', r.study_date::VARCHAR,
            b.mri_date::VARCHAR, coalesce('on ' || b.surgery_date::VARCHAR, 'without a readable date'))
        WHEN 'duplicate_image' THEN 'another image of the same bytes: ' || u.first.collection || '/' || u.first.row
        WHEN 'in_development' THEN 'the patient is in the development cohort: '
            || e.first.collection || '/' || e.first.row
    END AS detail
FROM verdicts v
JOIN radiographs r ON v.collection = r.collection::collection_name AND v.row = r.row
LEFT JOIN conflicts c ON c.patient = v.patient
LEFT JOIN others o ON o.collection = v.collection AND o.row = v.row
LEFT JOIN reading_counts n ON n.patient = v.patient
LEFT JOIN matches m ON m.patient = v.patient AND m.study_date = v.study_date AND v.reason = 'outside_interval'
LEFT JOIN reading_days d ON d.patient = m.patient
    AND d.mri_date = mri_on(m.study_date, m.nearest)
LEFT JOIN blocked b ON b.patient = v.patient AND b.study_date = v.study_date
LEFT JOIN duplicates u ON u.collection = v.collection AND u.row = v.row
LEFT JOIN development e ON e.patient = v.patient
WHERE v.reason IS NOT NULL;

-- Images and patients before any rule (step 0) and after each. A row without a patient is an image of no patient.
CREATE TEMP VIEW flow_rows AS
WITH steps AS (
    SELECT split, step, CASE WHEN step > 0 THEN enum_range(NULL::reason_name)[step]::reason_name END AS reason
    FROM unnest(enum_range(NULL::split_name)) s(split), range(len(enum_range(NULL::reason_name)) + 1) t(step)
),
images AS (  -- `reason` is null for those that stay, so it is the last of all
    SELECT split, patient, reason FROM verdicts JOIN roles USING (collection)
),
left_images AS (SELECT split, reason, count(*) AS images FROM images GROUP BY ALL),
left_patients AS (
    SELECT split, reason, count(*) AS patients
    FROM (
        SELECT split, CASE WHEN bool_and(reason IS NOT NULL) THEN max(reason) END AS reason
        FROM images
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
