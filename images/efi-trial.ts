// What became of a boot loader that was to be tried once: it came up and is switched to, it did not and is given up, or nobody has booted yet.
import { readFile } from 'node:fs/promises'
import { type Component, isPsyblobError } from '../core/mod.ts'
import { follow } from './current.ts'
import { filesOf, loaderName, newLoader, readEfi } from './efi-content.ts'
import type { EfiPartition } from './efi-partition.ts'
import { dropNext, sealEfi, switchLoaders } from './efi-switch.ts'
import { askTrial, bootedLoader, dropTrial } from './esp/loader-state.ts'
import { avoidRelease, raiseFloor } from './known.ts'
import { type Node, trustOf, withEfi } from './node.ts'

/** `none`: there is no trial. */
export type TrialEnd = 'none' | 'pending' | 'kept' | 'failed'

/** Errors: `locked` when the loader came up and the partition is mounted, `conflict`. */
export async function finishTrial(node: Node, component: Component, partition: EfiPartition): Promise<TrialEnd> {
  const { authority } = trustOf(node, component)
  const { loader, next, sealed } = await readEfi(partition, { product: component.name, authority })
  if (loader.asked === undefined) return 'none'
  const { name, serial } = next?.manifest ?? { name: component.name, serial: '' }
  if (next === undefined) {
    await partition.makeWritable()
    await dropTrial(partition.state)
    return 'none'
  }
  const booted = bootedLoader(await commandLine(node))
  if (booted === loader.asked.id) {
    await partition.makeWritable()
    // the trial is over before anything is moved: what a power cut loses then is fetched again, and not taken for a failure
    await dropTrial(partition.state)
    try {
      await switchLoaders(partition, next)
      await sealEfi(partition, next, sealed.state === 'release' ? sealed.release : undefined)
    } catch (error) {
      // while it cannot be put in its place it goes on being started as the new one
      if (isPsyblobError(error, 'locked')) await askTrial(partition.state, booted)
      if (!isPsyblobError(error, 'corrupt')) throw error
      node.report({
        type: 'warning',
        text: `${name} ${serial}: what was to follow the trial of its boot loader is damaged now, and is installed again: ${error.message}`,
      })
      return 'none'
    }
    await raiseFloor(node, component, next)
    await follow(node, component.name, next, authority)
    return 'kept'
  }
  if (booted === undefined || loader.begun !== loader.asked.trial) return 'pending'
  node.report({
    type: 'warning',
    text: `the boot loader of ${name} ${serial} did not boot: the old one stays, and ${serial} is not installed again by itself`,
  })
  await avoidRelease(node, component, next, true)
  await partition.makeWritable()
  await dropTrial(partition.state)
  for (const { path } of filesOf(next.manifest)) {
    const loaderOf = loaderName(path)
    if (loaderOf !== undefined) await partition.files.remove(newLoader(loaderOf))
  }
  await dropNext(partition)
  return 'failed'
}

/** An image on another machine was not booted here, whatever this machine runs from. */
async function commandLine({ cmdline, disk }: Node): Promise<string> {
  if (cmdline !== undefined) return cmdline
  return disk === undefined ? readFile('/proc/cmdline', 'utf8').catch(() => '') : ''
}

/** The same for every EFI partition of the composition, once a system is up. What keeps it from being done is told, and fails nothing. */
export async function finishTrials(node: Node): Promise<void> {
  for (const component of node.components) {
    if (component.target.kind !== 'esp') continue
    try {
      await withEfi(node, component, async (partition) => {
        if ((await finishTrial(node, component, partition)) === 'kept')
          node.report({ type: 'step', step: 'switch', about: `${component.name}: the new boot loader came up and is in its place` })
      })
    } catch (error) {
      if (!isPsyblobError(error) || error.code === 'interrupted') throw error
      node.report({ type: 'warning', text: `${component.name}: the trial of the boot loader is not ended: ${error.message}` })
    }
  }
}
