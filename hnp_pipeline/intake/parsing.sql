-- Reading single cells. Every macro takes text as cells.tidied leaves it, and gives null where it cannot be read.

-- What a value looks like, never what it is: 2020-13-45 is 9999-99-99, Kim is Aaa, 홍길동 is 가가가.
CREATE MACRO shape(t) AS
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(left(t, 20),
        '[^\P{L}\p{Lu}\p{Hangul}]', 'a', 'g'), '\p{Lu}', 'A', 'g'), '\p{Hangul}', '가', 'g'), '\p{N}', '9', 'g'),
        '[\p{M}\p{C}\p{Z}]', ' ', 'g')
    || CASE WHEN length(t) > 20 THEN '…' ELSE '' END;

-- A day without a time, year first and in one kind of separator; the most frequent spelling first. There is no year 0.
CREATE MACRO as_day(t) AS CASE
    WHEN starts_with(t, '0000') THEN NULL
    WHEN regexp_full_match(t, '\d{4}-\d\d-\d\d') THEN try_cast(t AS DATE)
    WHEN regexp_full_match(t, '\d{8}') THEN try_cast(left(t, 4) || '-' || t[5:6] || '-' || t[7:8] AS DATE)
    WHEN regexp_full_match(t, '\d{4}(-\d\d?-\d\d?|/\d\d?/\d\d?|\. ?\d\d?\. ?\d\d?\.?)')
    THEN try_cast(regexp_replace(t, '^(\d+)\D+(\d+)\D+(\d+)\D*$', '\1-\2-\3') AS DATE)
    END;

-- A day, with or without a time of day: 2020-03-01, 2020/3/1, 2020. 3. 1., 20200301, 2020-03-01T10:20:30, 202003011020.
CREATE MACRO as_date(t) AS CASE
    WHEN length(t) <= 10 THEN as_day(t)
    WHEN contains(t, ':') THEN as_day(regexp_replace(t, '(?i)^([^:]*?)(T| +)((오전|오후|AM|PM) ?)?'
        '([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?( ?(오전|오후|AM|PM))?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?$', '\1'))
    ELSE as_day(regexp_replace(t, '(?i)^(\d{8})(T| +)?([01]\d|2[0-3])[0-5]\d([0-5]\d([.,]\d+)?)?'
        '( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?$', '\1'))
    END;

-- An age in years: 45, 45.5, or DICOM's 045Y, 006M, 012W, 100D.
CREATE MACRO as_years(t) AS CASE WHEN regexp_full_match(t, '(?i)\d{1,3}(\.\d+)?[YMWD]?') THEN
    regexp_extract(t, '^[\d.]+')::DOUBLE
        / CASE upper(right(t, 1)) WHEN 'M' THEN 12 WHEN 'W' THEN 365.25 / 7 WHEN 'D' THEN 365.25 ELSE 1 END
    END;

-- The birthday in a year. Who was born on 29 February has it on 1 March in other years (Korean Civil Act, art. 160(3)).
CREATE MACRO birthday(born, y) AS CASE WHEN month(born) = 2 AND day(born) = 29 THEN make_date(y, 2, 28) + 1
    ELSE make_date(y, month(born), day(born)) END;

-- Age in completed years, and with the part of the current one that has gone.
CREATE MACRO completed_years(born, today) AS
    year(today) - year(born) - CASE WHEN today < birthday(born, year(today)) THEN 1 ELSE 0 END;
CREATE MACRO exact_years(born, today, completed) AS completed + (today - birthday(born, year(born) + completed))
    / (birthday(born, year(born) + completed + 1) - birthday(born, year(born) + completed));

CREATE MACRO as_sex(t) AS CASE WHEN lower(t) IN ('m', 'male', '남', '남자', '남성') THEN 'M'
    WHEN lower(t) IN ('f', 'female', '여', '여자', '여성') THEN 'F' END;

-- A level's label; 1.0 is how pandas writes a 1 beside blanks.
CREATE MACRO as_label(t) AS CASE WHEN regexp_full_match(t, '[01](\.0+)?') THEN left(t, 1)::TINYINT END;

-- A body part or site as words: MRI_L-Spine(요추) is `mri l spine 요추`. Thoracolumbar stays one word (T-L SPINE is
-- `tl spine`), so that it is lumbar only where the settings list it.
CREATE MACRO as_words(t) AS trim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(lower(t),
    '(\p{Hangul})([a-z0-9])', '\1 \2', 'g'), '([a-z0-9])(\p{Hangul})', '\1 \2', 'g'), '[^\p{L}\p{N}]+', ' ', 'g'),
    '\bt l\b', 'tl', 'g'));

-- A cell that cannot be used: its column, and what was found by shape.
CREATE MACRO unusable(name, t) AS {'name': name, 'found': coalesce(shape(t), 'blank')};
-- The same for a level's cell; null where it is a label or blank.
CREATE MACRO unlabelled(name, t) AS CASE WHEN t IS NOT NULL AND as_label(t) IS NULL THEN unusable(name, t) END;
