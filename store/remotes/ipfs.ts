// A repository folder in IPFS, read by path through a gateway (spec/repository.md 8): a web server that is believed as little as any other.
import { isNear, plainLookup, withLocalhost } from './address.ts'
import { type HttpOptions, HttpRemote } from './http.ts'
import { parseGateway, parseIpfsAddress } from './ipfs-address.ts'

const another = 'name another gateway with PSYBLOB_IPFS_GATEWAY'
const late = `IPFS found nobody in time who has it: run the same command again while a node that has the root is up, with a longer --timeout, or ${another}`

const hints: Readonly<Record<string, string>> = {
  none: `start the local node with ipfs daemon, or ${another}`,
  late,
  504: late,
  404: `the root is incomplete, or the gateway fetches nothing from others: check the root, or ${another}`,
  410: `this gateway refuses to give it: ${another}`,
  401: 'the gateway wants other credentials: put them into PSYBLOB_IPFS_GATEWAY, as in https://user:password@host/',
  403: `the gateway does not give this to everybody: put credentials into PSYBLOB_IPFS_GATEWAY, or ${another}`,
  429: `the gateway is asked too much: run the same command again later, or ${another}`,
}

export type IpfsOptions = Pick<HttpOptions, 'stallSeconds' | 'report'> & {
  /** Address of the gateway. Default: the local one. */
  readonly ipfsGateway?: string | undefined
}

/** Throws `usage` for an address that names no folder in IPFS, and for a gateway that is no web server. */
export function openIpfs(uri: string, { ipfsGateway, stallSeconds, report }: IpfsOptions): HttpRemote {
  const { label, path } = parseIpfsAddress(uri)
  const gateway = parseGateway(ipfsGateway)
  return new HttpRemote(new URL(path, gateway).href, {
    stallSeconds,
    report,
    label,
    lookup: withLocalhost(plainLookup),
    // a gateway called localhost gives each root a host of its own, and there what lies in the root may redirect, too: only ever to that gateway
    mayTurnTo: ({ host, hostname, port }) =>
      host === gateway.host || (isNear(gateway.hostname) && port === gateway.port && hostname.endsWith('.localhost')),
    hint: (status) => hints[status],
  })
}
