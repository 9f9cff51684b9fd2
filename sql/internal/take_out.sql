-- A text without a name: whole words, in upper or lower case by Unicode's rules. The database's locale may know no letters but
-- ASCII's, or say that "IRIS" is not "Iris" (Turkish). I, İ, i and ı are one letter, σ and ς another one, and ß is ss. A letter with
-- an accent is one, whether it was written as one character or as two (NFC), and so is the i with a second dot that JavaScript makes
-- of İ. Where a script has no spaces between words (Chinese, Japanese, Thai), or hangs endings on a name (Korean), it is found
-- wherever it stands. Signs of vowels are part of a word, though they are no letters to ICU. Blanks are blanks, whichever and how
-- many, and those around a name are no part of it. All of the text goes where it would grow too long for the audit. The index that
-- finds such texts cuts them into words alike (coupon.words_of).
create or replace function coupon.take_out(name text, words text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when r.words = o.words then take_out.words
    when length(r.words) <= 500 then r.words
    else coupon.forgotten() end
  from (values (
    '\u0E00-\u109F\u1100-\u11FF\u1780-\u17FF\u2E80-\u9FFF\uAC00-\uD7FF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF',
    -- Accents, points, and the scripts of India with their vowel signs, but for the end of a sentence.
    '\u0300-\u036F\u0591-\u05C7\u064B-\u065F\u0900-\u0963\u0966-\u0DFF'
  )) s (chars, marks)
  cross join lateral (
    select
      regexp_replace(
        regexp_replace(normalize(take_out.name, nfc) collate "und-x-icu", U&'([Iİiı])\0307', '\1', 'g'),
        '^\s+(?=\S)|(?<=\S)\s+$', '', 'g'),
      normalize(take_out.words, nfc) collate "und-x-icu"
  ) o (name, words)
  cross join lateral regexp_replace(
    o.words,
    case when o.name ~ ('^[' || s.chars || ']') then '' else '(?<![^\W' || s.chars || ']|[' || s.marks || '])' end
    || regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(o.name,
      '(\W)', '\\\1', 'g'), '(?:\\\s)+', '\\s+', 'g'), '[Iİiı]', U&'[Iİiı]\0307?', 'g'), '[Σσς]', '[Σσς]', 'g'),
      '[ßẞ]|ss', '(?:[ßẞ]|ss)', 'gi')
    || case when o.name ~ ('[' || s.chars || ']$') then '' else '(?![^\W' || s.chars || ']|[' || s.marks || '])' end,
    coupon.forgotten(), 'gi') r (words)
$$;

comment on function coupon.take_out(text, text) is
  'The words with coupon.forgotten() wherever the name stood in them.';
