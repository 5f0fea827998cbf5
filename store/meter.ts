// Counts what goes over a remote: one call is one request, and the bytes are those of bodies.
import type { Bytes } from '../core/mod.ts'
import type { Remote } from './remote.ts'

export class Meter {
  /** Requests made, and bytes of their answers. */
  requests = 0
  bytes = 0

  /** What `work` asks for does not count. Nothing else may be asked for meanwhile. */
  async uncounted<Value>(work: () => Promise<Value>): Promise<Value> {
    const { requests, bytes } = this
    try {
      return await work()
    } finally {
      this.requests = requests
      this.bytes = bytes
    }
  }

  /** The same remote, counted. */
  measure(remote: Remote): Remote {
    const counted = async function* (meter: Meter, source: () => Bytes): Bytes {
      meter.requests++
      for await (const piece of source()) {
        meter.bytes += piece.length
        yield piece
      }
    }
    return {
      label: remote.label,
      read: async (name, options) => {
        this.requests++
        const bytes = await remote.read(name, options)
        this.bytes += bytes?.length ?? 0
        return bytes
      },
      get: (cid, options) => counted(this, () => remote.get(cid, options)),
      range: (cid, at, options) => counted(this, () => remote.range(cid, at, options)),
    }
  }
}
