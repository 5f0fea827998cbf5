// What a sync came to, for people and for programs, whatever kind of product it was.
import type { EfiResult, Synced, TreeResult } from '../images/mod.ts'
import { efiText, printableEfi } from './efi-text.ts'
import { syncedJson, syncedText } from './synced-text.ts'
import { printableTree, treeText } from './tree-text.ts'

export type AnyResult = Synced | EfiResult | TreeResult

export function resultText(result: AnyResult, isDryRun: boolean): string {
  if ('slot' in result) return syncedText(result, isDryRun)
  return 'onTrial' in result ? efiText(result, isDryRun) : treeText(result, isDryRun)
}

export function resultJson(result: AnyResult, isDryRun: boolean) {
  if ('slot' in result) return syncedJson(result, isDryRun)
  return 'onTrial' in result ? printableEfi(result, isDryRun) : printableTree(result, isDryRun)
}
