// From the text of an address to a remote. Each kind is loaded when the first of its kind is opened.
import { fileURLToPath } from 'node:url'
import { PsyblobError, type Report, visible } from '../../core/mod.ts'
import type { Remote, RemoteWriter } from '../remote.ts'
import { printable } from './address.ts'
import { DirRemote } from './dir.ts'

export type OpenRemoteOptions = {
  readonly stallSeconds: number
  readonly report: Report
  /** Address of the gateway that ipfs:// and ipns:// are read through. Default: the local one. */
  readonly ipfsGateway?: string | undefined
}

/** What holds connections or files until it is closed. May be closed twice. */
export interface Closable {
  close(): Promise<void>
}

export type OpenedRemote = Remote & Closable

const scheme = /^([a-z][a-z0-9+.-]*):/i

/** Throws `unsupported` for a scheme that this version does not have, `usage` for what is no address at all. */
export async function openRemote(uri: string, options: OpenRemoteOptions): Promise<OpenedRemote> {
  const dir = folderOf(uri)
  if (dir !== undefined) return new DirRemote(dir)
  if (/^ip[fn]s:/i.test(uri)) {
    const { openIpfs } = await import('./ipfs.ts')
    return openIpfs(uri, options)
  }
  if (!/^https?:/i.test(uri)) {
    throw new PsyblobError('unsupported', `no remote of this kind: ${printable(uri)}`, {
      hint: 'a remote is a folder (./repo, file:///srv/repo), a web server (http://, https://) or a folder in IPFS (ipfs://, ipns://)',
    })
  }
  const { HttpRemote } = await import('./http.ts')
  return new HttpRemote(uri, options)
}

/** A place to publish to. Throws `unsupported` for remotes that can only be read. */
export function openWriter(uri: string): RemoteWriter {
  const dir = folderOf(uri)
  if (dir !== undefined) return new DirRemote(dir)
  if (/^ip[fn]s:/i.test(uri)) {
    throw new PsyblobError('unsupported', `cannot publish to ${printable(uri)}`, {
      hint: 'publish to a folder, e.g. ./repo; ipfs add -r --cid-version 1 ./repo then prints the root that nodes are given as ipfs://ROOT/',
    })
  }
  throw new PsyblobError('unsupported', `cannot publish to ${printable(uri)}`, {
    hint: 'publish to a folder, e.g. ./repo, and copy or serve that folder: every file in it is static',
  })
}

/** The folder that `uri` names; undefined when it has another scheme. */
function folderOf(uri: string): string | undefined {
  if (uri === '' || uri.includes('\0')) {
    throw new PsyblobError('usage', `not an address: "${visible(uri.slice(0, 200))}"`, {
      hint: 'addresses look like https://os.example/ or ./repo',
    })
  }
  const kind = scheme.exec(uri)?.[1]?.toLowerCase()
  if (kind === undefined) return uri
  if (kind !== 'file') return undefined
  try {
    return fileURLToPath(uri)
  } catch (cause) {
    throw new PsyblobError('usage', `not a file address: ${visible(uri.slice(0, 200))}`, {
      cause,
      hint: 'file addresses look like file:///srv/repo',
    })
  }
}
