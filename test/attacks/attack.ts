// One attack: what the attacker gives, and what must come of it.
import type { Asked, Bend } from '../fixtures/bent-server.ts'
import type { Arena, Files, Mode } from './arena.ts'

export type Attack = {
  /** Of the forty kinds. */
  readonly kind: string
  readonly what: string
  /** Of the error; `none` for what must do no harm at all. */
  readonly code: string
  /** Default: both. */
  readonly modes?: readonly Mode[]
  /** `bytes`: the release itself is accepted, and what comes of it is refused. Default: metadata. */
  readonly stage?: 'bytes'
  /** Bends the files of the repository with release 3, or answers by itself. */
  readonly bend?: (arena: Arena, files: Files) => undefined | ((asked: Asked) => Bend)
  /** What somebody did to the node before; `home` is its folder in the arena. */
  readonly poison?: (arena: Arena, home: string) => void
  /** Milliseconds that the clock of the node is off. */
  readonly clock?: number
  /** The server is a gateway to IPFS, and the repository is read through it. Default: a web server. */
  readonly through?: 'ipfs'
  /** Bytes of bodies that may be sent. Default: 1 MB. */
  readonly bytes?: number
  /** Default: 6. */
  readonly seconds?: number
  /** Bytes of memory that node and server may take together, above what they stand at. Default: 64 MB, twice what any case took when this was written. */
  readonly memory?: number
  /** What puts the node right again before the good sync. */
  readonly mend?: (arena: Arena, home: string) => void
  /** The next good sync has to do without: the publisher has to mend it. */
  readonly isLasting?: true
}

export const year = 365 * 24 * 3_600_000
export const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('utf8')
