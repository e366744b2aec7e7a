import { catalogSpec, describeCatalogModel, describeModel, modelCatalog } from '@specoffload/engine';
import { expect, it } from 'vitest';

/** Of the specs: whoever changes an entry gives it another digest in the catalogue too, and writes the new one here. */
const specDigests = {
  'mixtral-8x7b': '5c1125e5a99fd7fe',
  'mixtral-8x22b': '1e9cb99d6761b2d9',
  'mistral-7b': 'c8bf882dd24a5f59',
  'llama-3.3-70b': '3c1c36aaab03f40b',
  'llama-3.1-8b': '7408e3b6056a0ba9',
  'llama-3.2-1b': '1bb4b5eb03d650b6',
};

it.each(Object.keys(modelCatalog))('names %s in records as ever', (name) => {
  expect(describeModel({ name, spec: catalogSpec(name) }).digest.slice(0, 16)).toBe(
    specDigests[name as keyof typeof specDigests],
  );
  expect(describeCatalogModel(name).digest).toBe(modelCatalog[name].digest);
});
