// Which address makes which remote, and what is said of the others.
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { openRemote, openWriter } from '../../../store/remotes/open.ts'
import { refusal } from '../../fixtures/repository.ts'

const root = 'bafybeihkoviema7g3gxyt6la7vd5ho32ictqbilu3wnlo3rs7ewhnp7lly'
const options = { stallSeconds: 1, report: () => undefined }

test.each([
  ['./repo', resolve('repo')],
  ['repo', resolve('repo')],
  ['/srv/a repo', '/srv/a repo'],
  ['./a:b', resolve('a:b')],
  ['file:///srv/a%20repo/', '/srv/a repo'],
  ['FILE:///srv/repo', '/srv/repo'],
  ['http://os.example', 'http://os.example/'],
  ['HTTPS://OS.example:443/repo', 'https://os.example/repo/'],
  ['https://me:secret@os.example/repo/', 'https://os.example/repo/'],
  [`IPFS://${root}`, `ipfs://${root}/`],
  ['ipns://os.example/repo', 'ipns://os.example/repo/'],
])('%s is %s', async (uri, label) => {
  const remote = await openRemote(uri, options)
  expect(remote.label).toBe(label)
  await remote.close()
})

test.each(['s3://bucket/os/', 'oci://registry/os', 'ftp://os.example/', 'c:\\repo', 'javascript:1'])(
  '%s is unsupported, and the hint lists what is not',
  async (uri) => {
    expect(await refusal(openRemote(uri, options))).toBe(`unsupported: no remote of this kind: ${uri}`)
    await expect(openRemote(uri, options)).rejects.toMatchObject({ hint: expect.stringMatching(/\.\/repo.*file:.*http:.*https:.*ipfs:/) })
  },
)

test.each(['', 'a\0b', 'file://elsewhere/srv', 'file:///a%2fb', 'http://', 'https://os.example/?list'])('%j is no address', async (uri) => {
  expect(await refusal(openRemote(uri, options))).toMatch(/^usage: /)
})

test('credentials and control characters stay out of messages', async () => {
  expect(await refusal(openRemote('s3://me:sec/ret@bucket/\u001b[31m', options))).not.toContain('\u001b')
  expect(await refusal(openRemote('s3://me:secret@bucket/', options))).toBe('unsupported: no remote of this kind: s3://bucket/')
  expect(await refusal(async () => openWriter('https://me:secret@os.example/'))).toBe('unsupported: cannot publish to https://os.example/')
})

test('only folders can be published to', async () => {
  expect(openWriter('./repo').label).toBe(resolve('repo'))
  await expect((async () => openWriter('https://os.example/'))()).rejects.toMatchObject({
    code: 'unsupported',
    hint: expect.stringContaining('folder'),
  })
  await expect((async () => openWriter(`ipfs://me:secret@${root}/`))()).rejects.toMatchObject({
    code: 'unsupported',
    message: `cannot publish to ipfs://${root}/`,
    hint: expect.stringContaining('ipfs add -r --cid-version 1 ./repo'),
  })
})
