// Addresses on the web: what a uri says, and which ones mean this machine or its cloud's metadata service, where nothing that was
// fetched may send us (spec/repository.md 4.6).
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { PsyblobError, visible } from '../../core/mod.ts'

const near = new BlockList()
near.addSubnet('0.0.0.0', 8, 'ipv4')
near.addSubnet('127.0.0.0', 8, 'ipv4')
near.addSubnet('169.254.0.0', 16, 'ipv4')
// metadata services of clouds that are not on the link
near.addAddress('100.100.100.200', 'ipv4')
near.addAddress('192.0.0.192', 'ipv4')
// IPv4 addresses in IPv6 clothes (RFC 6052)
near.addSubnet('64:ff9b::', 96, 'ipv6')
near.addAddress('::', 'ipv6')
near.addAddress('::1', 'ipv6')
near.addSubnet('fe80::', 10, 'ipv6')
near.addAddress('fd00:ec2::254', 'ipv6')

/** True for a literal address or name of this machine or of the link it is on; `host` as in a URL. Other names are false: see `guarded`. */
export function isNear(host: string): boolean {
  const bare = host
    .replace(/^\[|\]$/g, '')
    .toLowerCase()
    .replace(/\.$/, '')
  if (bare === 'localhost' || bare.endsWith('.localhost')) return true
  const family = isIP(bare)
  return family !== 0 && near.check(bare, family === 4 ? 'ipv4' : 'ipv6')
}

export type Lookup = (
  host: string,
  options: LookupOptions,
  done: (error: NodeJS.ErrnoException | null, found: string | LookupAddress[], family?: number) => void,
) => void

export const plainLookup: Lookup = systemLookup

/** `lookup`, refusing names that stand for such an address. */
export function guarded(lookup: Lookup): Lookup {
  return (host, options, done) =>
    lookup(host, options, (error, found, family) => {
      const addresses = typeof found === 'string' ? [found] : (found ?? []).map(({ address }) => address)
      done(error ?? (addresses.some(isNear) ? tooNear(host) : null), found, family)
    })
}

/** `lookup`, with every name below `localhost` being this machine (RFC 6761 section 6.3): not every resolver knows that. */
export function withLocalhost(lookup: Lookup): Lookup {
  return (host, options, done) => {
    if (!/\.localhost\.?$/i.test(host)) return lookup(host, options, done)
    const here = { address: '127.0.0.1', family: 4 }
    if (options.all === true) done(null, [here, { address: '::1', family: 6 }])
    else done(null, here.address, here.family)
  }
}

/** The refusal to follow a redirect to such an address. */
export function tooNear(host: string): PsyblobError {
  const target = visible(host.slice(0, 255))
  return new PsyblobError('unavailable', `a redirect to ${target}, an address of this machine or its network link, is not followed`, {
    hint: 'if the repository really is there, put that address into the uris',
  })
}

/** The folder of a repository on a web server, and the header that its credentials make. Throws `usage`. */
export function parseBase(uri: string): { readonly base: URL; readonly authorization: string | undefined } {
  const refuse = (why: string) =>
    new PsyblobError('usage', why, { hint: 'addresses look like https://os.example/ or https://user:password@os.example/repo/' })
  if (!URL.canParse(uri)) throw refuse('not an address of a web server')
  const base = new URL(uri)
  const { username, password } = base
  base.username = ''
  base.password = ''
  if (base.search !== '' || base.hash !== '')
    throw refuse(`the address ${visible((base.origin + base.pathname).slice(0, 200))} must have neither ? nor #`)
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  if (username === '' && password === '') return { base, authorization: undefined }
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return { base, authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
  } catch {
    throw refuse(`the credentials in the address of ${visible(base.host.slice(0, 255))} are not percent-encoded`)
  }
}

/** An address for a message: without credentials. */
export function printable(uri: string): string {
  return visible(uri.replace(/^([a-z][a-z0-9+.-]*:)?(\/\/)?.*@/is, '$1$2').slice(0, 200))
}
