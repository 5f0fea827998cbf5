// From a tar file to a tree, and from a tree to the one tar file that is made of it, whoever builds it, wherever and whenever.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type Bytes, PsyblobError, visible } from '../../core/mod.ts'
import { readFull, translated, writeAll } from '../../store/mod.ts'
import type { BuildContext } from './builder.ts'
import { type Content, RootTree, type TreeNode } from './root-tree.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-header.ts'
import { readTar, type TarEntry } from './tar-reader.ts'

const pieceSize = 1024 * 1024

type TreeOptions = {
  /** Called so in errors. */
  readonly what: string
  /** Everything belongs to root, whoever owns it there. */
  readonly isRoots?: boolean
}

/** What the tar file `tar` holds. Device files are left out: the kernel makes them. `tar` must stay open until the tree is written. */
export async function treeOf(tar: FileHandle, { what, isRoots = false }: TreeOptions): Promise<RootTree> {
  const tree = new RootTree()
  for await (const found of readTar(tar, what)) {
    const entry = isRoots ? { ...found, uid: 0, gid: 0 } : found
    if (entry.kind === 'hardlink') {
      const node = tree.at(entry.link)
      if (node === undefined)
        throw new PsyblobError('malformed', `${what}: ${visible(entry.path)} is linked to ${visible(entry.link)}, which is not there`, {
          hint: 'make the tar file anew, of both in one run of tar',
        })
      tree.put(entry.path, node)
    } else if (entry.kind !== 'device') tree.put(entry.path, nodeOf(entry, entry.kind, tar))
  }
  return tree
}

function nodeOf({ mode, uid, gid, link, attributes, at, size }: TarEntry, kind: TreeNode['kind'], tar: FileHandle): TreeNode {
  // the rest says something about the machine it was built on, or cannot be in a squashfs
  const kept = [...attributes].filter(([name]) => name === 'security.capability' || name.startsWith('user.'))
  return { kind, mode, uid, gid, link: kind === 'symlink' ? link : '', attributes: new Map(kept), content: { tar, at, size } }
}

type WrittenTar = {
  /** Bytes. */
  readonly size: number
  readonly sha256: string
}

/** Writes `tree` to the new file `out`. Every time in it is `epoch`. */
export async function writeTar(tree: RootTree, out: string, context: BuildContext): Promise<WrittenTar> {
  const { report, epoch, signal } = context
  const hash = createHash('sha256')
  let size = 0
  let total = 0
  for (const { node, same } of tree.entries()) if (same === undefined) total += sizeOf(node.content)
  try {
    const file = await open(out, 'wx')
    try {
      // headers and padding come on top: close enough for a bar
      for await (const piece of pieces(bytesOf(tree, epoch))) {
        signal?.throwIfAborted()
        hash.update(piece)
        await writeAll(file, piece, size)
        size += piece.length
        report({ type: 'bytes', done: Math.min(size, total), total })
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    throw translated(error, `writing ${out}`)
  }
  return { size, sha256: hash.digest('hex') }
}

async function* bytesOf(tree: RootTree, epoch: number): Bytes {
  for (const { path, node, same } of tree.entries()) {
    const size = node.kind === 'file' && same === undefined ? sizeOf(node.content) : 0
    const kind = same === undefined ? node.kind : 'hardlink'
    yield tarHeader({ ...node, path, kind, size, link: same ?? node.link, time: epoch })
    if (size > 0) yield* contentOf(node.content, path)
    yield tarPadding(size)
  }
  yield tarEnd
}

function sizeOf(content: Content): number {
  return 'bytes' in content ? content.bytes.length : content.size
}

async function* contentOf(content: Content, path: string): Bytes {
  if ('bytes' in content) return yield content.bytes
  if ('tar' in content) {
    for (let done = 0; done < content.size; ) {
      const piece = Buffer.allocUnsafe(Math.min(pieceSize, content.size - done))
      const got = await readFull(content.tar, piece, content.at + done)
      if (got < piece.length)
        throw new PsyblobError('malformed', `/${visible(path)}: its tar file ends in the middle of it`, {
          hint: 'it is cut short, or changed while it was read: copy it again, or make it anew',
        })
      done += got
      yield piece
    }
    return
  }
  let done = 0
  for await (const piece of createReadStream(content.file, { highWaterMark: pieceSize }) as AsyncIterable<Buffer>) {
    done += piece.length
    yield piece
  }
  if (done !== content.size)
    throw new PsyblobError('conflict', `${visible(content.file)} changed while it was read: expected ${content.size} bytes, got ${done}`, {
      hint: 'run the same command again',
    })
}

/** The same bytes in fewer pieces: most files are small. */
async function* pieces(bytes: Bytes): Bytes {
  let held: Uint8Array[] = []
  let size = 0
  for await (const piece of bytes) {
    held.push(piece)
    size += piece.length
    if (size < pieceSize) continue
    yield Buffer.concat(held)
    held = []
    size = 0
  }
  yield Buffer.concat(held)
}
