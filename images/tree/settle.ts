// What is left to do when every file of a tree is in place: the links of the store, the release's own program, psyblob's own folder (spec/tree.md 4).
import { join } from 'node:path'
import { type Component, isPsyblobError, PsyblobError, visible } from '../../core/mod.ts'
import { writeWhole } from '../../store/mod.ts'
import type { Node } from '../node.ts'
import { type JournalHeader, writeJournal } from './journal.ts'
import { dropStage } from './staging.ts'
import { treeTarget } from './tree.ts'
import type { TreeRoot } from './tree-root.ts'

/** Milliseconds that the release's own program may take. */
const patience = 15 * 60_000

/** Throws `command-failed` when the release's own program failed: the release is installed all the same. */
export async function settle(
  node: Node,
  component: Component,
  { root, header }: { readonly root: TreeRoot; readonly header: JournalHeader },
): Promise<void> {
  const { store, report } = node
  const { product, serial, previous, postExec } = header
  const { mounts = [] } = treeTarget(component)
  // its steps were done: done again they would take away what somebody has put there since
  await writeJournal(root.dir, { header, steps: [] })
  if (previous !== null && previous !== serial) await store.setLink(product, 'previous', previous)
  await store.setLink(product, 'current', serial)
  const isAllowed = component['post-exec'] === true
  if (postExec !== null && !isAllowed)
    report({
      type: 'warning',
      text: `${product} ${serial} has a program to run afterwards, ${postExec}: not run, for the composition does not say "post-exec":true`,
    })
  try {
    if (postExec !== null && isAllowed) await runAfterwards(node, root, header, postExec)
  } finally {
    dropStage({ root, product, mounts })
  }
}

async function runAfterwards(node: Node, root: TreeRoot, { product, serial, previous }: JournalHeader, path: string): Promise<void> {
  const log = join(node.store.dir, product, 'post-exec.log')
  node.report({ type: 'step', step: 'post-exec', about: path })
  const env = { PSYBLOB_PRODUCT: product, PSYBLOB_SERIAL: String(serial), PSYBLOB_PREVIOUS: String(previous ?? '') }
  const everyStatus = Array.from({ length: 256 }, (_, status) => status)
  let failure: string | undefined
  let output = ''
  try {
    const argv: readonly [string, ...string[]] = root.dir === '/' ? [path] : ['chroot', root.dir, path]
    const { code, stdout, stderr } = await node.run(argv, { cwd: root.dir, env, allow: everyStatus, limit: patience })
    output = `${stdout.toString('utf8')}${stderr}`
    if (code !== 0) failure = `ended with status ${code}`
  } catch (error) {
    if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    failure = error.message
  }
  await writeWhole(log, Buffer.from(`${path} of ${product} ${serial}: ${failure ?? 'done'}\n${output}`), 0o600)
  for (const line of output.split('\n')) if (line !== '') node.report({ type: 'trace', text: `post-exec: ${line}` })
  if (failure === undefined) return
  throw new PsyblobError(
    'command-failed',
    `${product} ${serial} is installed, but its program ${visible(path)} failed: ${visible(failure)}`,
    {
      hint: `${log} has what it said; run it by hand when that is mended`,
    },
  )
}
