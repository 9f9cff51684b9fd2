/** Whether it is a URL that fetch() can ask: of http or https, without a name or a password in it. */
export function isWebAddress(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password === "";
}
