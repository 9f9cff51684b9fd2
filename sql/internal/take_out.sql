-- A text without a name: whole words, in upper or lower case by Unicode's rules. The database's locale may know no letters but
-- ASCII's, or say that "IRIS" is not "Iris" (Turkish). I, İ, i and ı are one letter, σ and ς another one, and ß is ss. Where a
-- script has no spaces between words (Chinese, Japanese, Thai), or hangs endings on a name (Korean), it is found wherever it
-- stands. All of the text goes where it would grow too long for the audit. The index that finds such texts cuts them into words
-- alike (coupon.words_of).
create or replace function coupon.take_out(name text, words text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when length(r.words) <= 500 then r.words else coupon.forgotten() end
  from (
    select regexp_replace(
      take_out.words collate "und-x-icu",
      case when take_out.name ~ ('^[' || s.chars || ']') then '' else '(?<![^\W' || s.chars || '])' end
      || regexp_replace(regexp_replace(regexp_replace(regexp_replace(take_out.name collate "und-x-icu",
        '(\W)', '\\\1', 'g'), '[Iİiı]', '[Iİiı]', 'g'), '[Σσς]', '[Σσς]', 'g'), '[ßẞ]|ss', '(?:[ßẞ]|ss)', 'gi')
      || case when take_out.name ~ ('[' || s.chars || ']$') then '' else '(?![^\W' || s.chars || '])' end,
      coupon.forgotten(), 'gi')
    from (values (
      '\u0E00-\u109F\u1100-\u11FF\u1780-\u17FF\u2E80-\u9FFF\uAC00-\uD7FF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF'
    )) s (chars)
  ) r (words)
$$;

comment on function coupon.take_out(text, text) is
  'The words with coupon.forgotten() wherever the name stood in them.';
