-- Answers to the first questions. Each view is made when the tables it needs are there.

-- name: cohort_by_hospital
-- comment: Images and patients of the cohort by split and hospital
SELECT split, hospital, count(*) AS images, count(DISTINCT patient_key) AS patients, round(avg(hnp), 4) AS hnp_share
FROM cohort GROUP BY split, hospital ORDER BY split, hospital;

-- name: cohort_by_view
-- comment: Images and patients of the cohort by split and view
SELECT split, view, count(*) AS images, count(DISTINCT patient_key) AS patients, round(avg(hnp), 4) AS hnp_share
FROM cohort GROUP BY split, view ORDER BY split, images DESC, view;

-- name: cohort_by_sex
-- comment: Images and patients of the cohort by split and sex
SELECT split, coalesce(sex, 'unknown') AS sex, count(*) AS images, count(DISTINCT patient_key) AS patients,
    round(avg(hnp), 4) AS hnp_share
FROM cohort GROUP BY ALL ORDER BY ALL;

-- name: cohort_by_age
-- comment: Images and patients of the cohort by split and age band (decades); a patient counts in each band that has an image
SELECT split, printf('%d-%d', band, band + 9) AS age_band, count(*) AS images, count(DISTINCT patient_key) AS patients,
    round(avg(hnp), 4) AS hnp_share
FROM (SELECT *, floor(age / 10)::INTEGER * 10 AS band FROM cohort) GROUP BY split, band ORDER BY split, band;

-- name: cohort_by_level
-- comment: Positive images and patients of the cohort by split and level (a patient is positive if any image is)
SELECT split, level, count(*) AS images, sum(label)::BIGINT AS positive_images, round(avg(label), 4) AS image_share,
    count(DISTINCT patient_key) AS patients,
    count(DISTINCT patient_key) FILTER (label = 1) AS positive_patients
FROM (UNPIVOT cohort ON l1_2, l2_3, l3_4, l4_5, l5_s1, hnp INTO NAME level VALUE label)
GROUP BY split, level ORDER BY split, level = 'hnp', level;

-- name: cohort_by_fold
-- comment: Images, patients and share of positive images of each development fold: Table 1 of the paper
SELECT fold, count(*) AS images, count(DISTINCT patient_key) AS patients,
    round(avg(l1_2), 5) AS l1_2, round(avg(l2_3), 5) AS l2_3, round(avg(l3_4), 5) AS l3_4,
    round(avg(l4_5), 5) AS l4_5, round(avg(l5_s1), 5) AS l5_s1, round(avg(hnp), 5) AS hnp
FROM cohort WHERE fold IS NOT NULL GROUP BY fold ORDER BY fold;

-- name: flow
-- comment: Images and patients after each rule, development beside test
SELECT step, coalesce(any_value(reason), 'export') AS reason,
    sum(images_excluded) FILTER (split = 'development')::BIGINT AS development_excluded,
    sum(images_remaining) FILTER (split = 'development')::BIGINT AS development_images,
    sum(patients_remaining) FILTER (split = 'development')::BIGINT AS development_patients,
    sum(images_excluded) FILTER (split = 'test')::BIGINT AS test_excluded,
    sum(images_remaining) FILTER (split = 'test')::BIGINT AS test_images,
    sum(patients_remaining) FILTER (split = 'test')::BIGINT AS test_patients
FROM cohort_flow GROUP BY step ORDER BY step;

-- name: exclusions_by_collection
-- comment: Excluded images by collection and reason
SELECT collection, reason, count(*) AS images, count(DISTINCT patient_key) AS patients
FROM exclusions GROUP BY collection, reason ORDER BY collection, images DESC, reason;
