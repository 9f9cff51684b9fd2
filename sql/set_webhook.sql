-- Has events sent to a URL. unchanged · too_many · changed · created. Locks the webhooks against other changes.
create or replace function public.set_webhook(
  webhook_name text,
  url text,
  event_types public.event_type[] default '{}',
  after text default 'latest',
  reason text default null,
  actor text default null
)
returns table (outcome public.set_webhook_outcome, secret text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on -- else a backslash is read in another way
as $$
declare
  v_old coupon.webhooks;
  v_types public.event_type[];
  v_after text;
begin
  perform coupon.check_webhook_name(set_webhook.webhook_name);
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('url', set_webhook.url is null, 'must not be null'),
    ('event_types', set_webhook.event_types is null, 'must not be null'),
    ('event_types', array_ndims(set_webhook.event_types) > 1, 'must have one dimension'),
    ('url', length(set_webhook.url) > 2000, 'must have at most 2000 characters'),
    ('url', set_webhook.url collate "C" !~ '^https?://(?=[!-~]+$)(\[[0-9A-Fa-f:.]+\]|[^][/?#@\\:<>^|]+)(:[0-9]{0,5})?([/?#]|$)',
      'must be an https:// or http:// URL of visible ASCII, without name and password')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.refuse_argument('event_types', 'must have no null')
  from unnest(set_webhook.event_types) t (event_type)
  where t.event_type is null;
  perform coupon.check_reason_and_actor(set_webhook.reason, set_webhook.actor);
  v_types := array(select distinct t from unnest(set_webhook.event_types) t order by t);

  -- Also against those that have locked a row and will change it: else each would wait for the other.
  lock table coupon.webhooks in exclusive mode;
  select w.* into v_old from coupon.webhooks w where w.webhook_name = set_webhook.webhook_name;
  if found then
    if (v_old.url, v_old.event_types) = (set_webhook.url, v_types) then
      outcome := 'unchanged';
      perform coupon.fence_replay();
      return next;
      return;
    end if;
    outcome := 'changed';
    update coupon.webhooks w
    set url = set_webhook.url, event_types = v_types
    where w.webhook_name = set_webhook.webhook_name;
    if v_old.url <> set_webhook.url then
      -- Another receiver: what the one before answered says nothing of it.
      update coupon.webhooks w
      set failing_since = null, paused_until = null
      where w.webhook_name = set_webhook.webhook_name;
      update coupon.webhook_deliveries d
      set attempts = 0, next_attempt_at = clock_timestamp()
      where d.webhook_name = set_webhook.webhook_name and d.dead_at is null;
    end if;
  elsif (select count(*) from coupon.webhooks) >= 50 then
    outcome := 'too_many';
    return next;
    return;
  else
    outcome := 'created';
    if set_webhook.after = 'latest' then
      select e.event_id into v_after from public.events('latest', 1) e;
    else
      v_after := set_webhook.after;
      perform from public.events(v_after, 1); -- refuses one that it does not know
    end if;
    insert into coupon.webhooks (webhook_name, url, event_types, after_number, after_place)
    select set_webhook.webhook_name, set_webhook.url, v_types, coalesce(p.number, 1), coalesce(p.place, -1)
    from coupon.event_place(v_after) p;
    insert into coupon.webhook_secrets (webhook_name, number)
    values (set_webhook.webhook_name, 1)
    returning 'whsec_' || encode(key, 'base64') into secret;
  end if;

  insert into coupon.audit (command, old_values, new_values, reason, actor)
  values ('set_webhook',
    case when outcome = 'changed' then jsonb_build_object('url', v_old.url, 'event_types', v_old.event_types) end,
    jsonb_build_object('webhook_name', set_webhook.webhook_name, 'url', set_webhook.url, 'event_types', v_types),
    set_webhook.reason, set_webhook.actor);
  return next;
end
$$;

comment on function public.set_webhook(text, text, public.event_type[], text, text, text) is
  'Has events sent to url: those of these types, or all if there are none. A new webhook begins with what happens from now on
(after => ''latest''), behind the event with this event_id, or at the beginning (null); of one that is there after means
nothing. The secret that signs what is sent is told when it is created, and never again: rotate_webhook_secret() makes
another one. Outcomes in order: unchanged, too_many (at most 50), changed (what waits goes to the new url, at once), created. reason
and actor (on whose behalf) go to the audit. Raises 22004 or 22023 for arguments that no webhook can have.';
