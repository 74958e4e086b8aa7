/**
 * The proxy between the agent and the gateway. Installers have one in their environment; the service, which has no environment, gets it from the
 * configuration file. Blocks never go through it.
 * @module
 */
import { InvalidInputError } from '../domain/errors.ts'

/** As the platform's HTTPS agent takes it. */
export interface ProxySettings {
  HTTPS_PROXY?: string
  NO_PROXY?: string
}

/**
 * The settings out of environment variables, in either spelling.
 * @throws InvalidInputError when the proxy's address is none.
 */
export function proxyOf(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  const proxy = environment['HTTPS_PROXY'] ?? environment['https_proxy']
  const exceptions = environment['NO_PROXY'] ?? environment['no_proxy']
  return {
    ...(proxy === undefined || proxy === '' ? {} : { HTTPS_PROXY: proxyUrl(proxy) }),
    ...(exceptions === undefined || exceptions === '' ? {} : { NO_PROXY: exceptions }),
  }
}

/** `host:port`, which other programs take too, as the URL that it means. */
function proxyUrl(text: string): string {
  const url = text.includes('://') ? text : `http://${text}`
  const isProxy = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
  // The value may hold a password: it is not repeated.
  if (!isProxy) throw new InvalidInputError('HTTPS_PROXY', 'Cannot use HTTPS_PROXY: write http://HOST:PORT')
  return url
}

/** Host and port of the proxy, for people: never its password. */
export function proxyName({ HTTPS_PROXY }: ProxySettings): string | undefined {
  return HTTPS_PROXY === undefined ? undefined : new URL(HTTPS_PROXY).host
}
