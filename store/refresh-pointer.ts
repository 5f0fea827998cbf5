// The pointer of a channel, signed again before it expires.
import { documents, formatTime, PsyblobError } from '../core/mod.ts'
import type { PublishOptions } from './publish.ts'
import { openPublisher } from './publisher.ts'
import { currentPointer, repositoryName, signPointer } from './repository.ts'

export type RefreshPointerOptions = Pick<PublishOptions, 'remote' | 'keys' | 'channel' | 'now' | 'days'>

/** Signs the pointer again, with a new time and one version higher. Throws `not-found` when the channel is new. */
export async function refreshPointer(
  options: RefreshPointerOptions,
): Promise<{ readonly channel: string; readonly version: number; readonly expires: string }> {
  const { remote, keys, channel, now, days } = options
  const repo = await repositoryName(remote)
  const publisher = await openPublisher(remote, keys, repo)
  const held = await remote.hold()
  try {
    const start = await currentPointer(remote, { repo, channel, publisher })
    if (start === undefined)
      throw new PsyblobError('not-found', `no channel ${channel} at ${remote.label}`, { hint: 'psyblob publish PRODUCT DIR makes it' })
    const version = start.pointer.version + 1
    await remote.replace(
      documents.pointer(channel),
      signPointer({ publisher, repo, channel, version, products: start.pointer.products, now, days }),
      start.bytes,
    )
    return { channel, version, expires: formatTime(now + days * 24 * 60 * 60 * 1000) }
  } finally {
    await held.release()
  }
}
