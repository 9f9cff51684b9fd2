/** Made of the API's document: UPDATE_README=1 ./sd test server/public/package.test.ts writes it. */

export interface Options {
  /** Where the service is; in a browser the page's own origin. */
  baseUrl?: string | undefined;
  /** The bearer token, or what gives one; none for who only looks. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** Another one than the platform's. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How often a request is sent at most. 5 */
  attempts?: number | undefined;
  /** How long one attempt may take, ms. 15000 */
  attemptMs?: number | undefined;
}

/** Sends requests again where that is right, after 503, 429 and lost connections, and never where the answer was final. */
export function couponClient(options?: Options): CouponClient;

/** Why a call has no result. */
export class CouponError extends Error {
  constructor(
    outcome: string,
    detail: string,
    problem?: {
      status?: number;
      request_id?: string;
      errors?: { member: string; detail: string }[];
      retryAfter?: number | undefined;
    },
    options?: { cause?: unknown },
  );
  /** As in the problem; connection_lost when there was no answer, unexpected_answer when it was not the service's. */
  outcome: string;
  detail: string;
  /** The HTTP status; 0 when there was no answer. */
  status: number;
  requestId: string | undefined;
  /** Which members of the request are wrong. */
  errors: { member: string; detail: string }[];
  /** Seconds to wait before sending the request again, if the service says so. */
  retryAfter: number | undefined;
}

export interface How {
  /** Ends the call, or the stream: it throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * A method for each operation. Of a command each outcome is a result, refusals too; for all else it throws a CouponError. A stream yields
 * for ever, over lost connections, until its signal is aborted or the loop is left. A list of any length is its CSV.
 */
export interface CouponClient {
  /** Create a coupon. A day has at most three coupons, with different codes, start times and counts. Roles: admin. `POST /coupons` */
  createCoupon: (request: CreateCouponRequest, how?: How) => Promise<CreateCouponResult>;
  /** A coupon by its code. Roles: service, admin. Scope: read. `GET /coupons` */
  findCouponByCode: (request: FindCouponByCodeRequest, how?: How) => Promise<CouponNow>;
  /** The coupons that have started and not expired, the last one to start first. No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid. Scope: read. `GET /coupons/live` */
  liveCoupons: (request?: LiveCouponsRequest, how?: How) => Promise<LiveCouponsAnswer>;
  /** The next coupons to start. No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid. Scope: read. `GET /coupons/upcoming` */
  upcomingCoupons: (request?: UpcomingCouponsRequest, how?: How) => Promise<UpcomingCouponsAnswer>;
  /** Live and upcoming coupons, as a stream of events. Server-Sent Events named coupons: the hundred live coupons that started last and the next ten to come; first the current state, then at most one update per second, when something has changed. A server process has places for 15,000 streams at most. Whoever finds none (503) asks for GET /coupons/live and GET /coupons/upcoming every two seconds, and for the stream again after Retry-After, as the client does. A stream ends after a quarter of an hour at most: connect again. No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid. Scope: read. `GET /coupons/events` */
  watchCoupons: (how?: How) => AsyncGenerator<WatchCouponsEvent, void>;
  /** All coupons, past ones too, the last one to start first. Those that fit all that is given. Pages hold while coupons are created, changed or deleted: one that stays where it is comes once. Roles: admin. `GET /coupons/list` */
  listCoupons: (request?: ListCouponsRequest, how?: How) => Promise<ListCouponsAnswer>;
  /** Every coupon that is live, upcoming or of today, with its speed. Roles: admin. `GET /coupons/status` */
  couponStatus: (request?: object, how?: How) => Promise<CouponStatusAnswer>;
  /** Every coupon that is live, upcoming or of today, with its speed, as a stream of events. Server-Sent Events named status, one per second. Roles: admin. `GET /coupons/status/events` */
  watchStatus: (how?: How) => AsyncGenerator<WatchStatusEvent, void>;
  /** A coupon. No token is needed, unless PUBLIC_OFFERS is off; one that is sent must be valid. Scope: read. `GET /coupons/{coupon_id}` */
  findCoupon: (request: FindCouponRequest, how?: How) => Promise<CouponNow>;
  /** How a drop went. Roles: admin. `GET /coupons/{coupon_id}/stats` */
  couponStats: (request: CouponStatsRequest, how?: How) => Promise<CouponStatsAnswer>;
  /** A drop over time: requests, grants and refusals in each second, or in another bucket. From the bucket of the first request to that of the last, at most 10,000: for a longer time the problem names a bucket that would do. Of refusals only the second is known, and after a month the quarter of an hour. Roles: admin. `GET /coupons/{coupon_id}/timeline` */
  couponTimeline: (request: CouponTimelineRequest, how?: How) => Promise<CouponTimelineAnswer>;
  /** What each day offered and gave. A row for each day, at most 366; by default the last seven. Roles: admin. `GET /daily-summary` */
  dailySummary: (request?: DailySummaryRequest, how?: How) => Promise<DailySummaryAnswer>;
  /** Who changed what, when and why, newest first. Issuing is not in it: a grant is its own record. Roles: admin. `GET /audit` */
  auditTrail: (request?: AuditTrailRequest, how?: How) => Promise<AuditTrailAnswer>;
  /** Issue a coupon to a user: the drop. First come, first served. Retries are safe at any time: a user who already holds the coupon gets the same position again. Roles: user, service, admin. Scope: issue. `POST /coupons/{coupon_id}/issue` */
  issueCoupon: (request: IssueCouponRequest, how?: How) => Promise<IssueCouponResult>;
  /** Use a coupon, once. Roles: user, service, admin. `POST /coupons/{coupon_id}/use` */
  useCoupon: (request: UseCouponRequest, how?: How) => Promise<UseCouponResult>;
  /** Use the coupon of a claim code, once: at a till. The answer says what is given to whom. Make the reference once for each code that is scanned, and send the same one until there is an answer. Whoever sends ten codes in ten seconds that are none has to wait. Roles: till, service, admin. Scope: use. `POST /claims/use` */
  useClaim: (request: UseClaimRequest, how?: How) => Promise<UseClaimResult>;
  /** Undo a use. The answer says which use was undone. A service can only undo its own. Roles: service, admin. `POST /coupons/{coupon_id}/undo-use` */
  undoUse: (request: UndoUseRequest, how?: How) => Promise<UndoUseResult>;
  /** Undo the use of a claim code's coupon. The answer says which use was undone. A till and a service can only undo their own. Roles: till, service, admin. Scope: use. `POST /claims/undo-use` */
  undoClaim: (request: UndoClaimRequest, how?: How) => Promise<UndoClaimResult>;
  /** Pause a coupon. Roles: admin. `POST /coupons/{coupon_id}/pause` */
  pauseCoupon: (request: PauseCouponRequest, how?: How) => Promise<PauseCouponResult>;
  /** Resume a paused coupon. Roles: admin. `POST /coupons/{coupon_id}/resume` */
  resumeCoupon: (request: ResumeCouponRequest, how?: How) => Promise<ResumeCouponResult>;
  /** Change the number of units. Roles: admin. `POST /coupons/{coupon_id}/count` */
  setCouponCount: (request: SetCouponCountRequest, how?: How) => Promise<SetCouponCountResult>;
  /** Change when a coupon expires. Roles: admin. `POST /coupons/{coupon_id}/expiry` */
  setCouponExpiry: (request: SetCouponExpiryRequest, how?: How) => Promise<SetCouponExpiryResult>;
  /** Change when a coupon starts. Until it has started. On another day it takes one of the three places of that day. Roles: admin. `POST /coupons/{coupon_id}/start` */
  setCouponStart: (request: SetCouponStartRequest, how?: How) => Promise<SetCouponStartResult>;
  /** Change a coupon's code, texts and metadata. What is left out stays; metadata is replaced as a whole. The code can change until the coupon has started. Roles: admin. `POST /coupons/{coupon_id}/edit` */
  editCoupon: (request: EditCouponRequest, how?: How) => Promise<EditCouponResult>;
  /** Withdraw a coupon of which nothing was issued. It is gone then, and its code, its start time, its count and its place of the day are free. Roles: admin. `POST /coupons/{coupon_id}/withdraw` */
  withdrawCoupon: (request: WithdrawCouponRequest, how?: How) => Promise<WithdrawCouponResult>;
  /** Take out coupons that have been over for a month, with their grants. A step a request: send it again while the outcome is going_on. Save the grants before (GET /coupons/{coupon_id}/grants): sums are all that stays, in stats and in the daily summary. Roles: admin. `POST /coupons/retire` */
  retireCoupons: (request: RetireCouponsRequest, how?: How) => Promise<RetireCouponsResult>;
  /** The plan: what each weekday offers. Roles: admin. `GET /plan` */
  listPlan: (request?: object, how?: How) => Promise<ListPlanAnswer>;
  /** Say what a weekday offers as one of its three coupons. It holds for days that are not filled yet. Coupons that were made stay as they are. Roles: admin. `POST /plan` */
  setPlanEntry: (request: SetPlanEntryRequest, how?: How) => Promise<SetPlanEntryResult>;
  /** Take an entry out of the plan. Roles: admin. `POST /plan/remove` */
  removePlanEntry: (request: RemovePlanEntryRequest, how?: How) => Promise<RemovePlanEntryOK>;
  /** What filling days would make, and which rule it would break. Roles: admin. `GET /plan/preview` */
  previewDays: (request?: PreviewDaysRequest, how?: How) => Promise<PreviewDaysAnswer>;
  /** Make the coupons of today and the days to come, as the plan says. What was made once is not made again. Where one would break a rule, the others are made. The server does it every hour, unless FILL_DAYS is off. Roles: admin. `POST /plan/fill` */
  fillDays: (request?: FillDaysRequest, how?: How) => Promise<FillDaysAnswer>;
  /** Make the coupons of a day again on another day. At the same local times. In a code the date becomes the new one; a code without a date gets it at its end. The same request again finds them already_made. Roles: admin. `POST /plan/copy-day` */
  copyDay: (request: CopyDayRequest, how?: How) => Promise<CopyDayAnswer>;
  /** What happened, a page at a time, as CloudEvents. Grants, uses, and changes of coupons, each once it is committed. The order never changes, and nothing comes before what was read; of one coupon it is what happened. An id that this database does not know is refused (400): it lost what it then had, or is another one; begin again. Grants of retired coupons have no events any more. Roles: service, admin. Scope: read. `GET /events` */
  listEvents: (request?: ListEventsRequest, how?: How) => Promise<ListEventsAnswer>;
  /** What happened, and what happens, as a stream of CloudEvents. Server-Sent Events without a name, whose id is the event's. Grants, uses, and changes of coupons, each once it is committed. The order never changes, and nothing comes before what was read; of one coupon it is what happened. An id that this database does not know is refused (400): it lost what it then had, or is another one; begin again. Grants of retired coupons have no events any more. A header Last-Event-ID, which EventSource sends when it connects again, comes before after. New events come within two seconds. A stream ends after a quarter of an hour at most: connect again. A server process has places for 50 (503). Roles: service, admin. Scope: read. `GET /events/stream` */
  watchEvents: (request?: WatchEventsRequest, how?: How) => AsyncGenerator<Event, void>;
  /** Let a group have a coupon before everybody else. Until it has started, for the group or for everybody. null takes the group away. Roles: admin. `POST /coupons/{coupon_id}/group` */
  setCouponGroup: (request: SetCouponGroupRequest, how?: How) => Promise<SetCouponGroupResult>;
  /** Put users into a group. At most 10,000 users, all or nothing. Sending the same users again changes nothing. Roles: admin. `POST /groups/{group_name}/add` */
  addToGroup: (request: AddToGroupRequest, how?: How) => Promise<AddToGroupAnswer>;
  /** Take users out of a group. What they were issued as members stays theirs. Roles: admin. `POST /groups/{group_name}/remove` */
  removeFromGroup: (request: RemoveFromGroupRequest, how?: How) => Promise<RemoveFromGroupAnswer>;
  /** Groups by name, a page at a time. Those that have members, and those that a coupon names: one without members may be misspelt. Roles: admin. `GET /groups` */
  listGroups: (request?: ListGroupsRequest, how?: How) => Promise<ListGroupsAnswer>;
  /** The members of a group, as a stream of lines or as CSV. One user per line, by id. The last line says done, or what went wrong and after which id to continue. With Accept: text/csv it is CSV (RFC 4180) with a header line and without a last line: if it ended early, the connection broke. A text that begins with an apostrophe, or as a formula does (= + - @, tab, line end), has an apostrophe in front, and so has what does behind a semicolon, a tab or a line end. Roles: admin. `GET /groups/{group_name}` */
  listGroup: (request: ListGroupRequest, how?: How) => Promise<Blob>;
  /** The webhooks, and how each is doing. Roles: admin. `GET /webhooks` */
  listWebhooks: (request?: object, how?: How) => Promise<ListWebhooksAnswer>;
  /** Have events sent to a URL, or change where and which. Each event is one POST, signed after Standard Webhooks, whose body is the event of GET /events. A status of 2xx takes it. At most 50 webhooks. Roles: admin. `POST /webhooks` */
  setWebhook: (request: SetWebhookRequest, how?: How) => Promise<SetWebhookResult>;
  /** Make a new secret. For a day what is sent is signed with the old one too. Done twice, the old one is out: after outcome_unknown or a lost answer, see second_secret_until in GET /webhooks, and send it again when the receiver can change at once. Roles: admin. `POST /webhooks/{webhook_name}/rotate-secret` */
  rotateWebhookSecret: (request: RotateWebhookSecretRequest, how?: How) => Promise<RotateWebhookSecretResult>;
  /** Send to a webhook again, from where it was disabled on. Roles: admin. `POST /webhooks/{webhook_name}/enable` */
  enableWebhook: (request: EnableWebhookRequest, how?: How) => Promise<EnableWebhookResult>;
  /** Send nothing to a webhook until it is enabled. Roles: admin. `POST /webhooks/{webhook_name}/disable` */
  disableWebhook: (request: DisableWebhookRequest, how?: How) => Promise<DisableWebhookResult>;
  /** Forget a webhook, with what waits for it. Roles: admin. `POST /webhooks/{webhook_name}/remove` */
  removeWebhook: (request: RemoveWebhookRequest, how?: How) => Promise<RemoveWebhookResult>;
  /** Send at once what waits, and what was given up. Roles: admin. `POST /webhooks/{webhook_name}/resend` */
  resendWebhook: (request: ResendWebhookRequest, how?: How) => Promise<ResendWebhookResult>;
  /** What a webhook did not take: what waits, then what was given up. Roles: admin. `GET /webhooks/{webhook_name}/deliveries` */
  listWebhookDeliveries: (request: ListWebhookDeliveriesRequest, how?: How) => Promise<ListWebhookDeliveriesAnswer>;
  /** Who I am, by my token. The number of a user is what other operations take, also where an identity provider's token names the user by a subject. Roles: user, till, service, admin. Scope: any. `GET /me` */
  me: (request?: object, how?: How) => Promise<MeAnswer>;
  /** Which subject of an identity provider is which user. By subject, or by user. None: nobody. Each provider has at most one subject of a user. Roles: admin. `GET /subjects` */
  findSubjects: (request?: FindSubjectsRequest, how?: How) => Promise<FindSubjectsAnswer>;
  /** The keys of services and administrators, the newest first. Those that ./sd token signed with a name, and those that were revoked. No answer has a token. Roles: admin. `GET /keys` */
  listKeys: (request?: object, how?: How) => Promise<ListKeysAnswer>;
  /** End a key before its time, for ever. Within a minute no server takes it any more. A key that was signed elsewhere can be revoked by its id too: then name is null, as it is for an id that was mistyped. Roles: admin. `POST /keys/revoke` */
  revokeKey: (request: RevokeKeyRequest, how?: How) => Promise<RevokeKeyOK>;
  /** The coupons that a user holds, newest day first. Roles: user, service, admin. Scope: read. `GET /users/{user_id}/coupons` */
  wallet: (request: WalletRequest, how?: How) => Promise<WalletAnswer>;
  /** Forget a person, for ever. The name goes, and the references of uses, and the words of the audit that tell of the person. The number stays, with its coupons and their positions. Nothing is issued to it any more, it uses nothing, and no import makes it again. Roles: admin. `POST /users/{user_id}/forget` */
  forgetUser: (request: ForgetUserRequest, how?: How) => Promise<ForgetUserResult>;
  /** Create or rename users. At most 10,000 users, all or nothing. Sending the same users again changes nothing. Roles: admin. `POST /users` */
  importUsers: (request: ImportUsersRequest, how?: How) => Promise<ImportUsersAnswer>;
  /** All users, as a stream of lines or as CSV. One user per line, by id. The last line says done, or what went wrong and after which id to continue. With Accept: text/csv it is CSV (RFC 4180) with a header line and without a last line: if it ended early, the connection broke. A text that begins with an apostrophe, or as a formula does (= + - @, tab, line end), has an apostrophe in front, and so has what does behind a semicolon, a tab or a line end. Roles: admin. `GET /users` */
  listUsers: (request?: ListUsersRequest, how?: How) => Promise<Blob>;
  /** A token to try the service. For whoever sends the demo key as bearer token, or for everybody, as the settings DEMO and DEMO_KEY say. Others get 404. `POST /demo/token` */
  demoToken: (request: DemoTokenRequest, how?: How) => Promise<DemoTokenAnswer>;
  /** The users who hold a coupon, as a stream of lines or as CSV. One grant per line, by position. The last line says done, or what went wrong and after which position to continue. With Accept: text/csv it is CSV (RFC 4180) with a header line and without a last line: if it ended early, the connection broke. A text that begins with an apostrophe, or as a formula does (= + - @, tab, line end), has an apostrophe in front, and so has what does behind a semicolon, a tab or a line end. Roles: admin. `GET /coupons/{coupon_id}/grants` */
  listGrants: (request: ListGrantsRequest, how?: How) => Promise<Blob>;
  /** Whether the process runs.  `GET /livez` */
  livez: (request?: object, how?: How) => Promise<LivezAnswer>;
  /** Whether the server can serve requests.  `GET /readyz` */
  readyz: (request?: object, how?: How) => Promise<ReadyzAnswer>;
  /** The service's time as far as its answers tell it, ms since 1970. */
  serverNow: () => number;
}

export interface CreateCouponRequest {
  /** Unique, in upper or lower case. */
  code: string;
  /** Shown to users. */
  message: string;
  description: string;
  /** At most six digits after the second, or zeros beyond them. */
  start_time: string;
  /** At most six digits after the second, or zeros beyond them. */
  expiry: string;
  /** Units that can be issued. */
  count: number;
  /** Anything of yours: at most 5 levels, 4096 characters as PostgreSQL writes it. Numbers keep all their digits. */
  metadata?: Record<string, unknown> | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface CreateCouponOK {
  outcome: "already_created";
  coupon_id: number;
  /** The day that it counts for. */
  live_on: string;
  /** Its place among the three coupons of the day. */
  slot: number;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface CreateCouponCreated {
  outcome: "created";
  coupon_id: number;
  /** The day that it counts for. */
  live_on: string;
  /** Its place among the three coupons of the day. */
  slot: number;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface CreateCouponConflict extends Problem {
  status: 409;
  outcome: "already_withdrawn" | "code_taken" | "in_the_past" | "start_time_taken" | "count_taken" | "day_full";
  coupon_id?: number;
  /** The day that it counts for. */
  live_on?: string;
  /** Its place among the three coupons of the day. */
  slot?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export interface Problem {
  /** The status in words. */
  title: string;
  status: number;
  outcome: string;
  /** For people: what happened. */
  detail: string;
  /** Which members of the request are wrong, and why. */
  errors?: WrongMember[];
  /** Until start_time, in seconds. */
  starts_in?: number;
  /** Since when nothing is left: the last grant, or the cut of the count. */
  sold_out_at?: string;
  /** From eligible_from, or else start_time, to sold_out_at, in seconds. */
  time_to_sell_out?: number;
  /** The same as x-request-id; the log has it too. */
  request_id: string;
}

export interface WrongMember {
  member: string;
  detail: string;
}

export type CreateCouponResult =
  | CreateCouponOK
  | CreateCouponCreated
  | CreateCouponConflict;

export interface FindCouponByCodeRequest {
  /** Unique, in upper or lower case. */
  code: string;
}

export interface CouponNow extends Coupon {
  /** Requests (not people) that were answered: grants at once, the rest a second or two later. */
  asked: number;
  /** The database's clock. Count down with it. */
  server_time: string;
}

export interface Coupon {
  coupon_id: number;
  code: string;
  message: string;
  description: string;
  /** It can be issued from then on. */
  start_time: string;
  eligible_from: string | null;
  /** It can no longer be issued or used from then on. */
  expiry: string;
  /** Units in all. */
  count: number;
  /** Units that somebody has. */
  issued: number;
  /** Units that are left. */
  remaining: number;
  sold_out: boolean;
  sold_out_at: string | null;
  time_to_sell_out: number | null;
  paused: boolean;
  /** Seconds until start_time; null after it. */
  starts_in: number | null;
  metadata: Record<string, unknown>;
}

export interface LiveCouponsRequest {
  /** next_before of the previous page. */
  before?: string | undefined;
  page_size?: number | undefined;
}

export interface LiveCouponsAnswer {
  coupons: Coupon[];
  next_before: string | null;
  /** The database's clock. Count down with it. */
  server_time: string;
}

export interface UpcomingCouponsRequest {
  /** next_after of the previous page. */
  after?: string | undefined;
  page_size?: number | undefined;
}

export interface UpcomingCouponsAnswer {
  coupons: Coupon[];
  next_after: string | null;
  /** The database's clock. Count down with it. */
  server_time: string;
}

export interface WatchCouponsEvent {
  live: Coupon[];
  upcoming: Coupon[];
  /** The database's clock. Count down with it. */
  server_time: string;
}

export interface ListCouponsRequest {
  /** The coupons that are in this state now. */
  state?: "upcoming" | "ended" | "paused" | "sold_out" | "live" | undefined;
  /** The coupons that start then or later. */
  since?: string | undefined;
  /** The coupons that start earlier; next_before of the previous page. */
  before?: string | undefined;
  /** The coupons whose code begins like this, in upper or lower case. */
  code_prefix?: string | undefined;
  page_size?: number | undefined;
}

export interface ListCouponsAnswer {
  coupons: ListCouponsCoupon[];
  next_before: string | null;
  /** The database's clock. Count down with it. */
  server_time: string;
}

export interface ListCouponsCoupon {
  state: "upcoming" | "ended" | "paused" | "sold_out" | "live";
  coupon_id: number;
  code: string;
  message: string;
  description: string;
  /** It can be issued from then on. */
  start_time: string;
  /** Whose members can have it from eligible_from on. */
  eligible_group: string | null;
  eligible_from: string | null;
  /** It can no longer be issued or used from then on. */
  expiry: string;
  /** The day that it counts for. */
  live_on: string;
  /** Its place among the three coupons of the day. */
  slot: number;
  /** Units in all. */
  count: number;
  /** Units that somebody has. */
  issued: number;
  /** Units that are left. */
  remaining: number;
  paused: boolean;
  metadata: Record<string, unknown>;
}

export interface CouponStatusAnswer {
  coupons: CouponStatus[];
  /** The database's clock. Count down with it. */
  server_time: string;
  /** Answers to issue requests by this server process since it started, by outcome. */
  outcomes: Record<string, number>;
}

export interface CouponStatus {
  coupon_id: number;
  code: string;
  state: "upcoming" | "ended" | "paused" | "sold_out" | "live";
  paused: boolean;
  /** Units in all. */
  count: number;
  /** Units that somebody has. */
  issued: number;
  /** Units that are left. */
  remaining: number;
  /** Seconds until start_time; null after it. */
  starts_in: number | null;
  since_start: number | null;
  last_issued_at: string | null;
  /** Grants a second, over the last 10 s. */
  per_second_10s: number;
  /** Grants a second, over the last 60 s. */
  per_second_60s: number;
}

export interface WatchStatusEvent {
  coupons: CouponStatus[];
  /** The database's clock. Count down with it. */
  server_time: string;
  /** Answers to issue requests by this server process since it started, by outcome. */
  outcomes: Record<string, number>;
}

export interface FindCouponRequest {
  coupon_id: number;
}

export interface CouponStatsRequest {
  coupon_id: number;
}

export interface CouponStatsAnswer {
  coupon_id: number;
  code: string;
  /** Units in all. */
  count: number;
  /** Units that somebody has. */
  issued: number;
  /** Units that are left. */
  remaining: number;
  /** Units that were used. */
  used: number;
  /** Requests (not people) that were answered: grants at once, the rest a second or two later. */
  asked: number;
  first_issued_at: string | null;
  last_issued_at: string | null;
  sold_out_at: string | null;
  time_to_sell_out: number | null;
}

export interface CouponTimelineRequest {
  coupon_id: number;
  /** Seconds that each bucket lasts, with at most three digits after the point. */
  bucket?: number | undefined;
  /** The buckets from this one's on. */
  since?: string | undefined;
  /** The buckets that begin earlier. */
  before?: string | undefined;
}

export interface CouponTimelineAnswer {
  coupon_id: number;
  /** What each bucket lasts, in seconds. */
  bucket: number;
  buckets: CouponTimelineBucket[];
}

export interface CouponTimelineBucket {
  /** When the bucket begins; the first one has the first request. */
  begins_at: string;
  /** Requests that were answered in it: grants, refusals and replays. */
  asked: number;
  /** Units that were issued in it. */
  grants: number;
  /** Requests that were refused in it. */
  refused: number;
  /** Units that were issued up to its end. */
  issued: number;
}

export interface DailySummaryRequest {
  /** Six days before last_day, unless it is given; at most 365 days before it. */
  first_day?: string | undefined;
  /** Today, unless it is given. */
  last_day?: string | undefined;
}

export interface DailySummaryAnswer {
  days: DailySummaryDay[];
}

export interface DailySummaryDay {
  /** In the service's time zone. */
  day: string;
  /** Coupons that started on this day. */
  coupons: number;
  /** Their units together. */
  count: number;
  /** Requests for them that were answered, on any day. */
  asked: number;
  /** Units of any coupon that were issued on this day: so many users got one. */
  issued: number;
  /** Of those, the ones that are used by now. */
  used: number;
  /** used / issued, from 0 to 1; null if nothing was issued. */
  share_used: number | null;
  first_issued_at: string | null;
  last_issued_at: string | null;
}

export interface AuditTrailRequest {
  /** What was done to this coupon. */
  coupon_id?: number | undefined;
  /** What was done about this user's uses. */
  user_id?: number | undefined;
  /** What was done then or later. */
  since?: string | undefined;
  /** next_before of the previous page. */
  before?: number | undefined;
  page_size?: number | undefined;
}

export interface AuditTrailAnswer {
  entries: AuditTrailEntry[];
  next_before: number | null;
}

export interface AuditTrailEntry {
  /** Rises with time. */
  audit_id: number;
  /** When it was done. */
  at: string;
  /** The database login. */
  login: string;
  /** On whose behalf: role and subject of the token. Null from psql. */
  actor: string | null;
  /** The function that was called. */
  command: string;
  coupon_id: number | null;
  /** Whose use it was. */
  user_id: number | null;
  used_date: string | null;
  /** What was changed, as it was. */
  old_values: Record<string, unknown> | null;
  /** What was changed, as it is then. */
  new_values: Record<string, unknown> | null;
  reason: string | null;
}

export interface IssueCouponRequest {
  coupon_id: number;
  /** The user to act for. A user may omit it; a service or an admin must give it. */
  user_id?: number | undefined;
}

export interface IssueCouponOK {
  outcome: "already_issued";
  coupon_id: number;
  user_id: number;
  /** First come, first served: 1, 2, 3 … */
  position: number;
  /** The user's coupon of this day, in the service's time zone. */
  issued_on: string;
  /** When it was issued. */
  issued_at: string;
}

export interface IssueCouponCreated {
  outcome: "issued";
  coupon_id: number;
  user_id: number;
  /** First come, first served: 1, 2, 3 … */
  position: number;
  /** The user's coupon of this day, in the service's time zone. */
  issued_on: string;
  /** When it was issued. */
  issued_at: string;
}

export interface IssueCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found" | "user_not_found";
  coupon_id?: number;
  user_id?: number;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  /** The user's coupon of this day, in the service's time zone. */
  issued_on?: string;
  /** When it was issued. */
  issued_at?: string;
}

export interface IssueCouponConflict extends Problem {
  status: 409;
  outcome: "not_started" | "ended" | "paused" | "sold_out" | "daily_limit_reached";
  coupon_id?: number;
  user_id?: number;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  /** The user's coupon of this day, in the service's time zone. */
  issued_on?: string;
  /** When it was issued. */
  issued_at?: string;
}

export type IssueCouponResult =
  | IssueCouponOK
  | IssueCouponCreated
  | IssueCouponNotFound
  | IssueCouponConflict;

export interface UseCouponRequest {
  coupon_id: number;
  /** The user to act for. A user may omit it; a service or an admin must give it. */
  user_id?: number | undefined;
  /** For example the order that the coupon is used for. The same reference again is a replay. */
  reference: string;
}

export interface UseCouponOK {
  outcome: "used";
  coupon_id: number;
  user_id: number;
  /** When it was used. */
  used_date: string;
  use_reference: string;
}

export interface UseCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found" | "user_not_found";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
}

export interface UseCouponConflict extends Problem {
  status: 409;
  outcome: "not_issued" | "already_used" | "expired";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
}

export type UseCouponResult =
  | UseCouponOK
  | UseCouponNotFound
  | UseCouponConflict;

export interface UseClaimRequest {
  /** The code of a grant, as it is scanned or read out: in upper or lower case, with hyphens and spaces or without, I or L for 1, O for 0. */
  claim_code: string;
  /** For example the order that the coupon is used for. The same reference again is a replay. */
  reference: string;
}

export interface UseClaimOK {
  outcome: "used";
  coupon_id: number;
  user_id: number;
  /** When it was used. */
  used_date: string;
  use_reference: string;
  code: string;
  message: string;
  /** First come, first served: 1, 2, 3 … */
  position: number;
  display_name: string;
}

export interface UseClaimNotFound extends Problem {
  status: 404;
  outcome: "claim_not_found";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
  code?: string;
  message?: string;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  display_name?: string;
}

export interface UseClaimConflict extends Problem {
  status: 409;
  outcome: "already_used" | "expired";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
  code?: string;
  message?: string;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  display_name?: string;
}

export type UseClaimResult =
  | UseClaimOK
  | UseClaimNotFound
  | UseClaimConflict;

export interface UndoUseRequest {
  coupon_id: number;
  user_id: number;
  /** Why, for the audit. */
  reason: string;
  /** Which use: the used_date of its answer. Send it: then the same request again undoes no later use. Another use is left alone, and told as not_used. */
  used_date?: string | undefined;
}

export interface UndoUseOK {
  outcome: "restored";
  coupon_id: number;
  user_id: number;
  /** When it was used. */
  used_date: string;
  use_reference: string;
}

export interface UndoUseNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found" | "user_not_found";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
}

export interface UndoUseConflict extends Problem {
  status: 409;
  outcome: "not_issued" | "not_used" | "used_by_another";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
}

export type UndoUseResult =
  | UndoUseOK
  | UndoUseNotFound
  | UndoUseConflict;

export interface UndoClaimRequest {
  /** The code of a grant, as it is scanned or read out: in upper or lower case, with hyphens and spaces or without, I or L for 1, O for 0. */
  claim_code: string;
  /** Why, for the audit. */
  reason: string;
  /** Which use: the used_date of its answer. Send it: then the same request again undoes no later use. Another use is left alone, and told as not_used. */
  used_date?: string | undefined;
}

export interface UndoClaimOK {
  outcome: "restored";
  coupon_id: number;
  user_id: number;
  /** When it was used. */
  used_date: string;
  use_reference: string;
  code: string;
  message: string;
  /** First come, first served: 1, 2, 3 … */
  position: number;
  display_name: string;
}

export interface UndoClaimNotFound extends Problem {
  status: 404;
  outcome: "claim_not_found";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
  code?: string;
  message?: string;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  display_name?: string;
}

export interface UndoClaimConflict extends Problem {
  status: 409;
  outcome: "not_used" | "used_by_another";
  coupon_id?: number;
  user_id?: number;
  /** When it was used. */
  used_date?: string;
  use_reference?: string;
  code?: string;
  message?: string;
  /** First come, first served: 1, 2, 3 … */
  position?: number;
  display_name?: string;
}

export type UndoClaimResult =
  | UndoClaimOK
  | UndoClaimNotFound
  | UndoClaimConflict;

export interface PauseCouponRequest {
  coupon_id: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface PauseCouponOK {
  outcome: "already_paused" | "paused";
  coupon_id: number;
}

export interface PauseCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
}

export type PauseCouponResult =
  | PauseCouponOK
  | PauseCouponNotFound;

export interface ResumeCouponRequest {
  coupon_id: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface ResumeCouponOK {
  outcome: "not_paused" | "resumed";
  coupon_id: number;
}

export interface ResumeCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
}

export type ResumeCouponResult =
  | ResumeCouponOK
  | ResumeCouponNotFound;

export interface SetCouponCountRequest {
  coupon_id: number;
  /** Units that can be issued. */
  count: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetCouponCountOK {
  outcome: "unchanged" | "changed";
  coupon_id: number;
  /** Units that somebody has. */
  issued: number;
  /** Units that are left. */
  remaining: number;
}

export interface SetCouponCountNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  /** Units that somebody has. */
  issued?: number;
  /** Units that are left. */
  remaining?: number;
}

export interface SetCouponCountConflict extends Problem {
  status: 409;
  outcome: "below_issued" | "count_taken";
  coupon_id?: number;
  /** Units that somebody has. */
  issued?: number;
  /** Units that are left. */
  remaining?: number;
}

export type SetCouponCountResult =
  | SetCouponCountOK
  | SetCouponCountNotFound
  | SetCouponCountConflict;

export interface SetCouponExpiryRequest {
  coupon_id: number;
  /** At most six digits after the second, or zeros beyond them. */
  expiry: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetCouponExpiryOK {
  outcome: "unchanged" | "changed";
  coupon_id: number;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface SetCouponExpiryNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export interface SetCouponExpiryConflict extends Problem {
  status: 409;
  outcome: "not_after_start" | "in_the_past";
  coupon_id?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export type SetCouponExpiryResult =
  | SetCouponExpiryOK
  | SetCouponExpiryNotFound
  | SetCouponExpiryConflict;

export interface SetCouponStartRequest {
  coupon_id: number;
  /** At most six digits after the second, or zeros beyond them. */
  start_time: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetCouponStartOK {
  outcome: "unchanged" | "changed";
  coupon_id: number;
  /** The day that it counts for. */
  live_on: string;
  /** Its place among the three coupons of the day. */
  slot: number;
  warning: "short_lived" | "already_started" | "empty_group" | null;
  /** The coupon that is in the way. */
  taken_by: number | null;
}

export interface SetCouponStartNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  /** The day that it counts for. */
  live_on?: string;
  /** Its place among the three coupons of the day. */
  slot?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
  /** The coupon that is in the way. */
  taken_by?: number | null;
}

export interface SetCouponStartConflict extends Problem {
  status: 409;
  outcome: "already_started" | "in_the_past" | "not_after_eligible_from" | "not_before_expiry" | "start_time_taken" | "count_taken" | "day_full";
  coupon_id?: number;
  /** The day that it counts for. */
  live_on?: string;
  /** Its place among the three coupons of the day. */
  slot?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
  /** The coupon that is in the way. */
  taken_by?: number | null;
}

export type SetCouponStartResult =
  | SetCouponStartOK
  | SetCouponStartNotFound
  | SetCouponStartConflict;

export interface EditCouponRequest {
  coupon_id: number;
  /** Unique, in upper or lower case. */
  code?: string | undefined;
  /** Shown to users. */
  message?: string | undefined;
  description?: string | undefined;
  /** Anything of yours: at most 5 levels, 4096 characters as PostgreSQL writes it. Numbers keep all their digits. */
  metadata?: Record<string, unknown> | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface EditCouponOK {
  outcome: "unchanged" | "changed";
  coupon_id: number;
  /** The coupon that is in the way. */
  taken_by: number | null;
}

export interface EditCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  /** The coupon that is in the way. */
  taken_by?: number | null;
}

export interface EditCouponConflict extends Problem {
  status: 409;
  outcome: "already_started" | "code_taken";
  coupon_id?: number;
  /** The coupon that is in the way. */
  taken_by?: number | null;
}

export type EditCouponResult =
  | EditCouponOK
  | EditCouponNotFound
  | EditCouponConflict;

export interface WithdrawCouponRequest {
  coupon_id: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface WithdrawCouponOK {
  outcome: "already_withdrawn" | "withdrawn";
  coupon_id: number;
  issued: number | null;
}

export interface WithdrawCouponNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  issued?: number | null;
}

export interface WithdrawCouponConflict extends Problem {
  status: 409;
  outcome: "has_grants";
  coupon_id?: number;
  issued?: number | null;
}

export type WithdrawCouponResult =
  | WithdrawCouponOK
  | WithdrawCouponNotFound
  | WithdrawCouponConflict;

export interface RetireCouponsRequest {
  /** The coupons that expired before this day; at least 33 days ago. */
  before: string;
  /** Grants that are moved out at once. */
  at_most?: number | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RetireCouponsOK {
  outcome: "going_on" | "done";
  /** The coupon that was retired, or is being so; none once only copies of grants are left. */
  coupon_id: number | null;
  code: string | null;
  grants: number | null;
  grants_left: number | null;
  coupons_left: number | null;
}

export interface RetireCouponsConflict extends Problem {
  status: 409;
  outcome: "too_recent" | "busy";
  /** The coupon that was retired, or is being so; none once only copies of grants are left. */
  coupon_id?: number | null;
  code?: string | null;
  grants?: number | null;
  grants_left?: number | null;
  coupons_left?: number | null;
}

export type RetireCouponsResult =
  | RetireCouponsOK
  | RetireCouponsConflict;

export interface ListPlanAnswer {
  entries: ListPlanEntry[];
}

export interface ListPlanEntry {
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
  /** Which of the three entries of the weekday. */
  slot: number;
  code_pattern: string;
  message: string;
  description: string;
  /** With seconds. */
  local_start: string;
  /** With seconds. */
  local_expiry: string;
  expiry_days: number;
  /** Units that can be issued. */
  count: number;
  metadata: Record<string, unknown>;
}

export interface SetPlanEntryRequest {
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
  /** Which of the three entries of the weekday. */
  slot: number;
  /** The coupon's code, with the whole day in it: {date} is 20261130, {year} 2026, {month} 11, {day} 30, {weekday} MON, {slot} the slot. */
  code_pattern: string;
  /** Shown to users. */
  message: string;
  description: string;
  /** When it starts, by the clocks of the service's time zone. */
  local_start: string;
  /** When it expires, by the same clocks. */
  local_expiry: string;
  /** Days from the day of the start to that of the expiry. */
  expiry_days?: number | undefined;
  /** Units that can be issued. */
  count: number;
  /** Stays as it is, unless it is given; of a new entry it is empty. */
  metadata?: Record<string, unknown> | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetPlanEntryOK {
  outcome: "unchanged" | "planned";
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
  /** Which of the three entries of the weekday. */
  slot: number;
  /** The entry that is in the way. */
  taken_by_slot: number | null;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface SetPlanEntryConflict extends Problem {
  status: 409;
  outcome: "code_taken" | "start_time_taken" | "count_taken";
  /** 1 is Monday, 7 is Sunday. */
  weekday?: number;
  /** Which of the three entries of the weekday. */
  slot?: number;
  /** The entry that is in the way. */
  taken_by_slot?: number | null;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export type SetPlanEntryResult =
  | SetPlanEntryOK
  | SetPlanEntryConflict;

export interface RemovePlanEntryRequest {
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
  /** Which of the three entries of the weekday. */
  slot: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RemovePlanEntryOK {
  outcome: "not_planned" | "removed";
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
  /** Which of the three entries of the weekday. */
  slot: number;
}

export interface PreviewDaysRequest {
  /** Today, unless it is given. */
  first_day?: string | undefined;
  /** 13 days after first_day, unless it is given; at most 90. */
  last_day?: string | undefined;
}

export interface PreviewDaysAnswer {
  coupons: FilledCoupon[];
}

export interface FilledCoupon {
  /** already_made: whatever became of it since. in_the_past: its start is not to come. not_after_start: its expiry, on a day on which clocks are changed. code_too_long: of a copy. code_taken, start_time_taken, count_taken, day_full: this rule it would break. made: of a preview, it would be. */
  outcome: "already_made" | "in_the_past" | "not_after_start" | "code_too_long" | "code_taken" | "start_time_taken" | "count_taken" | "day_full" | "made";
  /** The day that it is for. */
  day: string;
  /** The entry of the plan; of a copy, the place of the coupon that it is a copy of. */
  slot: number;
  /** Of what is already made, this and what follows are as they are now; null if it was withdrawn. */
  code: string | null;
  message: string | null;
  description: string | null;
  start_time: string | null;
  expiry: string | null;
  count: number | null;
  metadata: Record<string, unknown> | null;
  /** The coupon that was made. */
  coupon_id: number | null;
  /** The coupon that is in the way. */
  taken_by: number | null;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface FillDaysRequest {
  /** 13 days from now, unless it is given; at most 90. */
  last_day?: string | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface FillDaysAnswer {
  coupons: FilledCoupon[];
}

export interface CopyDayRequest {
  /** The day whose coupons are made again. */
  from_day: string;
  /** The day for which they are made. */
  to_day: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface CopyDayAnswer {
  coupons: FilledCoupon[];
}

export interface ListEventsRequest {
  /** The id of the last event that was read; none: from the beginning; latest: from the newest event on, with that one. */
  after?: string | undefined;
  page_size?: number | undefined;
}

export interface ListEventsAnswer {
  events: Event[];
  /** after= of the next page, which is empty as long as nothing new has happened; null: nothing has happened yet. */
  next_after: string | null;
}

export interface Event {
  specversion: "1.0";
  /** Unique in its source, and the place in the order: give it as after, to go on behind it. */
  id: string;
  source: "/events";
  /** What happened: coupon.created, coupon.edited, coupon.paused, coupon.resumed, coupon.restocked, coupon.withdrawn, coupon.retired, coupon.issued, coupon.sold_out, coupon.used, coupon.undone, webhook.disabled. Others may come with a later release. */
  type: string;
  /** The coupon, or the webhook (webhooks/crm). */
  subject: string;
  /** When it happened. */
  time: string;
  datacontenttype: "application/json";
  data: EventData;
}

export interface EventData {
  /** null of what is no coupon's. */
  coupon_id: number | null;
  /** Whose unit it is: of issued, used and undone. */
  user_id: number | null;
  position: number | null;
  /** Of used and undone. */
  use_reference: string | null;
  /** What was changed, as it was. */
  old_values: Record<string, unknown> | null;
  /** What was changed, as it is then; of webhook.disabled its name and why. */
  new_values: Record<string, unknown> | null;
}

export interface WatchEventsRequest {
  /** The id of the last event that was read; none: from the beginning; latest: from the newest event on, with that one. */
  after?: string | undefined;
}

export interface SetCouponGroupRequest {
  coupon_id: number;
  group_name: string | null;
  /** Before start_time; null with group_name. */
  eligible_from: string | null;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetCouponGroupOK {
  outcome: "unchanged" | "changed";
  coupon_id: number;
  warning: "short_lived" | "already_started" | "empty_group" | null;
}

export interface SetCouponGroupNotFound extends Problem {
  status: 404;
  outcome: "coupon_not_found";
  coupon_id?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export interface SetCouponGroupConflict extends Problem {
  status: 409;
  outcome: "already_started" | "in_the_past" | "not_before_start";
  coupon_id?: number;
  warning?: "short_lived" | "already_started" | "empty_group" | null;
}

export type SetCouponGroupResult =
  | SetCouponGroupOK
  | SetCouponGroupNotFound
  | SetCouponGroupConflict;

export interface AddToGroupRequest {
  /** A group is there as long as it has members. vip and VIP are two. */
  group_name: string;
  user_ids: number[];
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface AddToGroupAnswer {
  users: AddToGroupUser[];
}

export interface AddToGroupUser {
  outcome: "user_not_found" | "already_member" | "added";
  user_id: number;
}

export interface RemoveFromGroupRequest {
  /** A group is there as long as it has members. vip and VIP are two. */
  group_name: string;
  user_ids: number[];
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RemoveFromGroupAnswer {
  users: RemoveFromGroupUser[];
}

export interface RemoveFromGroupUser {
  outcome: "not_member" | "removed";
  user_id: number;
}

export interface ListGroupsRequest {
  /** next_after of the previous page. */
  after?: string | undefined;
  page_size?: number | undefined;
}

export interface ListGroupsAnswer {
  groups: ListGroupsGroup[];
  /** after= of the next page; null: this is the last one. */
  next_after: string | null;
}

export interface ListGroupsGroup {
  /** A group is there as long as it has members. vip and VIP are two. */
  group_name: string;
  member_count: number;
  /** Coupons that name it. */
  coupon_count: number;
}

export interface ListGroupRequest {
  /** A group is there as long as it has members. vip and VIP are two. */
  group_name: string;
  /** next_after of a list that ended early. */
  after?: number | undefined;
}

export interface ListWebhooksAnswer {
  webhooks: ListWebhooksWebhook[];
}

export interface ListWebhooksWebhook {
  webhook_name: string;
  /** Where events are sent: https, and a public address, unless the service is set up to send to others. */
  url: string;
  /** None: all. */
  event_types: string[];
  /** When it was created. */
  created_at: string;
  delivered_at: string | null;
  failing_since: string | null;
  /** What it answered when it refused an event last; null: nothing. */
  last_status: number | null;
  /** The reason of the last failure. It stays when a later event is taken. */
  last_error: string | null;
  disabled_at: string | null;
  disabled_reason: string | null;
  second_secret_until: string | null;
  /** Coupons of which an event waits to be sent again. */
  waiting: number;
  /** Events that were given up. */
  dead: number;
  /** Seconds: how old the oldest event is that it has not got. */
  behind: number;
}

export interface SetWebhookRequest {
  webhook_name: string;
  url: string;
  /** The events that it is sent; none: all, and those of later releases. */
  event_types?: ("coupon.created" | "coupon.edited" | "coupon.paused" | "coupon.resumed" | "coupon.restocked" | "coupon.withdrawn" | "coupon.retired" | "coupon.issued" | "coupon.sold_out" | "coupon.used" | "coupon.undone" | "webhook.disabled")[] | undefined;
  /** Of a new webhook: latest, it begins with what happens from now on; the id of an event, with what came behind it; null, with all. */
  after?: string | null | undefined;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface SetWebhookOK {
  outcome: "unchanged" | "changed";
  webhook_name: string;
  secret: string | null;
}

export interface SetWebhookCreated {
  outcome: "created";
  webhook_name: string;
  secret: string | null;
}

export interface SetWebhookConflict extends Problem {
  status: 409;
  outcome: "too_many";
  webhook_name?: string;
  secret?: string | null;
}

export type SetWebhookResult =
  | SetWebhookOK
  | SetWebhookCreated
  | SetWebhookConflict;

export interface RotateWebhookSecretRequest {
  webhook_name: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RotateWebhookSecretOK {
  outcome: "rotated";
  webhook_name: string;
  /** What is sent is signed with it. It is told this once, and no call tells it again. After a lost answer, rotate it. */
  secret: string;
}

export interface RotateWebhookSecretNotFound extends Problem {
  status: 404;
  outcome: "webhook_not_found";
  webhook_name?: string;
  /** What is sent is signed with it. It is told this once, and no call tells it again. After a lost answer, rotate it. */
  secret?: string;
}

export type RotateWebhookSecretResult =
  | RotateWebhookSecretOK
  | RotateWebhookSecretNotFound;

export interface EnableWebhookRequest {
  webhook_name: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface EnableWebhookOK {
  outcome: "already_enabled" | "enabled";
  webhook_name: string;
}

export interface EnableWebhookNotFound extends Problem {
  status: 404;
  outcome: "webhook_not_found";
  webhook_name?: string;
}

export type EnableWebhookResult =
  | EnableWebhookOK
  | EnableWebhookNotFound;

export interface DisableWebhookRequest {
  webhook_name: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface DisableWebhookOK {
  outcome: "already_disabled" | "disabled";
  webhook_name: string;
}

export interface DisableWebhookNotFound extends Problem {
  status: 404;
  outcome: "webhook_not_found";
  webhook_name?: string;
}

export type DisableWebhookResult =
  | DisableWebhookOK
  | DisableWebhookNotFound;

export interface RemoveWebhookRequest {
  webhook_name: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RemoveWebhookOK {
  outcome: "removed";
  webhook_name: string;
}

export interface RemoveWebhookNotFound extends Problem {
  status: 404;
  outcome: "webhook_not_found";
  webhook_name?: string;
}

export type RemoveWebhookResult =
  | RemoveWebhookOK
  | RemoveWebhookNotFound;

export interface ResendWebhookRequest {
  webhook_name: string;
  /** Why, for the audit. */
  reason?: string | undefined;
  /** Only this one. */
  event_id?: string | undefined;
}

export interface ResendWebhookOK {
  outcome: "resending";
  webhook_name: string;
  /** So many. */
  deliveries: number;
}

export interface ResendWebhookNotFound extends Problem {
  status: 404;
  outcome: "webhook_not_found";
  webhook_name?: string;
  /** So many. */
  deliveries?: number;
}

export interface ResendWebhookConflict extends Problem {
  status: 409;
  outcome: "nothing_to_send";
  webhook_name?: string;
  /** So many. */
  deliveries?: number;
}

export type ResendWebhookResult =
  | ResendWebhookOK
  | ResendWebhookNotFound
  | ResendWebhookConflict;

export interface ListWebhookDeliveriesRequest {
  webhook_name: string;
  page_size?: number | undefined;
}

export interface ListWebhookDeliveriesAnswer {
  deliveries: ListWebhookDeliveriesDelivery[];
}

export interface ListWebhookDeliveriesDelivery {
  /** Unique in its source, and the place in the order: give it as after, to go on behind it. */
  event_id: string;
  /** null: the next event of the coupon, whichever it is. */
  type: string | null;
  coupon_id: number | null;
  attempts: number;
  next_attempt_at: string | null;
  dead_at: string | null;
  last_attempt_at: string | null;
  /** What it answered when it refused an event last; null: nothing. */
  last_status: number | null;
  /** The reason of the last failure. It stays when a later event is taken. */
  last_error: string | null;
}

export interface MeAnswer {
  role: "user" | "till" | "service" | "admin";
  /** Null: the token is no user's. */
  user_id: number | null;
}

export interface FindSubjectsRequest {
  /** Needed without user_id. */
  subject?: string | undefined;
  /** Needed without subject. */
  user_id?: number | undefined;
  /** Those of this provider alone. */
  issuer?: string | undefined;
}

export interface FindSubjectsAnswer {
  subjects: FindSubjectsSubject[];
}

export interface FindSubjectsSubject {
  /** sub of the provider's tokens, or the claim that JWT_ISSUERS names. */
  subject: string;
  /** iss of the provider's tokens. */
  issuer: string;
  user_id: number;
  /** When the subject became this user. */
  first_seen_at: string;
}

export interface ListKeysAnswer {
  keys: ListKeysKey[];
}

export interface ListKeysKey {
  /** jti of the token; of an identity provider's token "<jti> of <issuer>". */
  key_id: string;
  /** Whose it is; null: it was signed elsewhere. */
  name: string | null;
  /** What it is limited to; null: to nothing but its role. */
  scope: string | null;
  /** When it was recorded. */
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}

export interface RevokeKeyRequest {
  /** jti of the token; of an identity provider's token "<jti> of <issuer>". */
  key_id: string;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface RevokeKeyOK {
  outcome: "already_revoked" | "revoked";
  /** jti of the token; of an identity provider's token "<jti> of <issuer>". */
  key_id: string;
  name: string | null;
}

export interface WalletRequest {
  user_id: number;
  /** next_before of the previous page. */
  before?: string | undefined;
  page_size?: number | undefined;
}

export interface WalletAnswer {
  user_id: number;
  coupons: WalletCoupon[];
  next_before: string | null;
}

export interface WalletCoupon {
  state: "issued" | "used" | "expired";
  coupon_id: number;
  code: string;
  message: string;
  description: string;
  /** First come, first served: 1, 2, 3 … */
  position: number;
  /** The user's coupon of this day, in the service's time zone. */
  issued_on: string;
  /** When it was issued. */
  issued_at: string;
  /** It can no longer be issued or used from then on. */
  expiry: string;
  /** What a till takes: show it, or say it. */
  claim_code: string | null;
  used_date: string | null;
  use_reference: string | null;
}

export interface ForgetUserRequest {
  user_id: number;
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface ForgetUserOK {
  outcome: "already_forgotten" | "forgotten";
  user_id: number;
}

export interface ForgetUserNotFound extends Problem {
  status: 404;
  outcome: "user_not_found";
  user_id?: number;
}

export type ForgetUserResult =
  | ForgetUserOK
  | ForgetUserNotFound;

export interface ImportUsersRequest {
  users: NewUser[];
  /** Why, for the audit. */
  reason?: string | undefined;
}

export interface NewUser {
  user_id: number;
  display_name: string;
}

export interface ImportUsersAnswer {
  users: ImportUsersUser[];
}

export interface ImportUsersUser {
  outcome: "forgotten" | "created" | "updated" | "unchanged";
  user_id: number;
}

export interface ListUsersRequest {
  /** next_after of a list that ended early. */
  after?: number | undefined;
}

export interface DemoTokenRequest {
  role: "user" | "till" | "admin";
  /** The user, if role is user. */
  user_id?: number | undefined;
}

export interface DemoTokenAnswer {
  /** Valid for a day. */
  token: string;
}

export interface ListGrantsRequest {
  coupon_id: number;
  /** next_after of a list that ended early. */
  after?: number | undefined;
}

export interface LivezAnswer {
  status: "ok";
}

export interface ReadyzAnswer {
  status: "ok";
}
