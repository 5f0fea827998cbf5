// What the meter counts: calls that were really made, and bytes that really came.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { documents } from '../../core/mod.ts'
import { Meter } from '../../store/meter.ts'
import { DirRemote } from '../../store/remotes/dir.ts'
import { blobOf, collect, madeUp, refusal, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

const blob = blobOf(madeUp(10_000, 1))
let folder: Awaited<ReturnType<typeof temporaryFolder>>

beforeEach(async () => {
  folder = await temporaryFolder()
  await writeBelow(folder.dir, { [blob.path]: blob.bytes, 'psyblob.json': '{}' })
})

afterEach(() => folder.remove())

test('requests and bytes of documents, blobs and ranges, over several remotes', async () => {
  const meter = new Meter()
  const one = meter.measure(new DirRemote(folder.dir))
  const two = meter.measure(new DirRemote(folder.dir))
  expect(one.label).toBe(folder.dir)
  await one.read(documents.repository, { limit: 10 })
  expect(await two.read(documents.listing, { limit: 10 })).toBeUndefined()
  expect([meter.requests, meter.bytes]).toEqual([2, 2])
  await collect(one.get(blob.cid, { size: 10_000 }))
  await collect(two.range(blob.cid, { offset: 10, length: 100 }, { size: 10_000 }))
  expect([meter.requests, meter.bytes]).toEqual([4, 10_102])
})

test('a failed request is a request; one that nobody began is none', async () => {
  const meter = new Meter()
  const remote = meter.measure(new DirRemote(folder.dir))
  remote.get(blob.cid, { size: 10_000 })
  expect(meter.requests).toBe(0)
  expect(await refusal(collect(remote.get(blobOf(madeUp(1, 2)).cid, { size: 1 })))).toMatch(/^not-found: /)
  expect([meter.requests, meter.bytes]).toEqual([1, 0])
})
