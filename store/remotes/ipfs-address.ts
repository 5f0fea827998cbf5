// Addresses in IPFS: ipfs://ROOT/ and ipns://NAME/, and the address of the gateway that gives them (spec/repository.md 8).
import { codecOf, PsyblobError } from '../../core/mod.ts'
import { printable } from './address.ts'

/** The gateway of an IPFS node on this machine, where nobody names another. */
const localGateway = 'http://127.0.0.1:8080'
const dagPb = 0x70
const libp2pKey = 0x72
/** DNSLink: a name of the DNS, whose last part is no number. */
const dnsName = /^(?=.{3,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+(?![0-9]+$)[a-z0-9-]{2,63}$/i

export type IpfsAddress = {
  /** As people write it, ending with a slash. */
  readonly label: string
  /** Below a gateway: `ipfs/ROOT/` or `ipns/NAME/`, percent-encoded. */
  readonly path: string
}

/** Throws `usage` for what names no folder in IPFS, and for anything that a gateway might take for more than a path. */
export function parseIpfsAddress(uri: string): IpfsAddress {
  const refuse = (why: string) => {
    const hint =
      'addresses look like ipfs://bafybei…/ (ipfs add -r --cid-version 1 ./repo prints the root last), ipns://k51…/ or ipns://os.example/'
    return new PsyblobError('usage', `the address ${printable(uri)} ${why}`, { hint })
  }
  const [, scheme = '', root = '', rest = ''] = /^(ip[fn]s):\/\/([^/]*)(.*)$/is.exec(uri) ?? []
  const kind = scheme.toLowerCase()
  if (kind === '') throw refuse('is none of IPFS: two slashes and a root are missing')
  if (/[@?#]/.test(uri)) throw refuse('must have neither credentials nor ? nor #')
  const codec = codecOf(root)
  if (kind === 'ipfs') {
    if (codec === libp2pKey) throw refuse('is that of a name: it begins with ipns://')
    if (codec === undefined) throw refuse('does not begin with a CID')
    if (codec !== dagPb) throw refuse('begins with the CID of something else than a folder')
  } else if (codec !== libp2pKey && !(codec === dagPb && root.startsWith('Qm')) && !dnsName.test(root)) {
    throw refuse(
      codec === undefined ? 'begins with neither a name of IPNS nor one of the DNS' : 'is that of a root: it begins with ipfs://',
    )
  }
  const segments = rest.replace(/^\/|\/$/g, '').split('/')
  const path = [kind, root, ...(segments.join('') === '' ? [] : segments.map((segment) => checkedSegment(segment, refuse)))]
  return { label: `${kind}://${path.slice(1).join('/')}/`, path: `${path.join('/')}/` }
}

/** What `segment` says, encoded in one way only. */
function checkedSegment(segment: string, refuse: (why: string) => PsyblobError): string {
  let plain: string
  try {
    plain = decodeURIComponent(segment)
  } catch {
    throw refuse('is not percent-encoded')
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none belongs into an address
  if (plain === '' || plain === '.' || plain === '..' || /[/\\\u0000-\u001f\u007f]/.test(plain))
    throw refuse('has a part that is empty, . or .., or has a character that no name has')
  return encodeURIComponent(plain)
}

/** Throws `usage` unless `text` is the address of a web server. */
export function parseGateway(text: string = localGateway): URL {
  const refuse = (why: string) =>
    new PsyblobError('usage', `PSYBLOB_IPFS_GATEWAY, ${printable(text)}, ${why}`, {
      hint: `set PSYBLOB_IPFS_GATEWAY to an address like ${localGateway} or https://gateway.example/, or leave it out for the local one`,
    })
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) throw refuse('is not the address of a web server')
  const gateway = new URL(text)
  if (gateway.search !== '' || gateway.hash !== '') throw refuse('must have neither ? nor #')
  if (/\/ip[fn]s\/?$/.test(gateway.pathname)) throw refuse('must not end with /ipfs/: that is added')
  if (!gateway.pathname.endsWith('/')) gateway.pathname += '/'
  return gateway
}
