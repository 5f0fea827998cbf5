// The reader of recipes brings a YAML parser along: loaded when there is a recipe to read, which on most machines is never.
import type { Recipe } from './recipe.ts'

/** The recipe in the file `path`. Throws `not-found`, `malformed` with the line. */
export async function readRecipe(path: string): Promise<Recipe> {
  return (await import('./recipe-file.ts')).readRecipe(path)
}
