/** What a commit waits for on a server with synchronous standbys, and how one learns that it did not. */

/** What PostgreSQL's synchronous_standby_names means for who commits, in words. */
export function commitWaitsFor(synchronousStandbyNames: string): string {
  return synchronousStandbyNames === "" ? "this server only" : `synchronous (${synchronousStandbyNames})`;
}

/**
 * Whether a notice says that a commit was let through before the synchronous standbys had it, since somebody cancelled the wait or ended
 * the session: a failover may lose it, whatever the statement answers. Its text is translated and its SQLSTATE is any warning's, so
 * the function of PostgreSQL that says it tells (15 to 18).
 */
export function isUnreplicated(notice: { routine?: string }): boolean {
  return notice.routine === "SyncRepWaitForLSN";
}
