import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files whose checks rest on rates and times, on the checkout's builds, or on the lock of measured runs. */
const alone = [
  'test/experiments/sweep/measured.test.ts',
  'test/native/streamer.test.ts',
  'test/setup.test.ts',
];

/**
 * Files that leave the process and the machine around it as they found them, so that a process runs one after another
 * and need not import everything again. Lanes' threads wait for the next file too.
 */
const pure = [
  'test/{bundle,docs,examples,house,pack,packages}.test.ts',
  'test/input/*.test.ts',
  'test/engine/model/{catalog,checkpoint,config,configuration,contradictions,families,random}.test.ts',
  'test/engine/model/{reference,rope,spec,write}.test.ts',
  'test/engine/{balance,common-draws,constants,dispatcher,extremes,lane-queue,paced-lane,placement,policy,pool,prefill-cores}.test.ts',
  'test/engine/{plan-closed-form,plan-competitors,plan-drafters,plan-experience,plan-front,plan-packed,plan-routing,predictions,simulate,speculate,split-rule,strip,trace}.test.ts',
  'test/engine/{competitors,drafter,errors,golden,machine-file,own-strategy,plan,policy-docs,property,resident-tensors}.test.ts',
  'test/engine/{adapt-candidates,ahead,alternates,coalesced-experts,crossbars,expert-cache,power,product-noise,self-draft,suffix-automaton,talk}.test.ts',
  'test/engine/{device,device-families,isolated-device,vulkan-device,vulkan-golden,vulkan-queues}.test.ts',
  'test/engine/{not-finite,odd-header,sampling,span-log,strategies,topology,twin,unequal-layers}.test.ts',
  'test/engine/{bf16-arithmetic,expert-union,packed-runs,quantised-runs,scales-apart,stored-bytes,stored-weights,virtual-machine,zero-copy}.test.ts',
  'test/engine/model/{assemble,chat-template,fused-experts,gguf,inflate,long-texts,pack,paired-scales,real-gguf,target-format,text-stream,tokenizer}.test.ts',
  'test/experiments/{acceptance,accuracy,bench,figures,inputs,job,notebook-support,plan}/*.test.ts',
  'test/experiments/{profile,reproduce,statistics,store,tunnel}/*.test.ts',
  'test/experiments/page/{latex,page,search}.test.ts',
  'test/experiments/cli/{chat,devices,ending,other-lanes,run,runs,usage}.test.ts',
  'test/experiments/queue/{messages,slurm}.test.ts',
  'test/experiments/sweep/{baselines,bayesian,command,definition,expression,full-disk,generations,halving}.test.ts',
  'test/experiments/sweep/{judge-stored,planned,shipped,sweep,thompson}.test.ts',
  'test/native/{attention,bf16-packed,codecs,core,levels,pacer,power,probe,product,quantised,scaled-product,spirv-specialised,vulkan,vulkan-kernels,vulkan-scaled,vulkan-shaders,widen}.test.ts',
  'test/kernel/{cell-syntax,display,format,html,literal,outputs,parameters,sanitize,save}.test.ts',
  'test/kernel/{cell,notebook-images,shorthand,text,wire}.test.ts',
];

/** Ten seconds of the processor and more each: what begins last must be short, or one core waits for the other. */
const longest = [
  'notebooks',
  'kernel/run',
  'sweep/kill',
  'kernel/jupyter',
  'engine/isolated-device',
  'engine/plan',
  'engine/competitors',
  'engine/alternates',
  'engine/property',
  'engine/sampling',
  'engine/vulkan-golden',
  'engine/golden',
  'tunnel/tunnel',
  'sweep/shipped',
  'cli/run',
  'bench/gpu',
  'sweep/sweep',
  'plan/plan',
  'fuzz/fuzz',
  'page/page.browser',
  'kernel/browser',
  'kernel/jupyter-lab',
  'kernel/session',
  'kernel/kernel',
  'queue/queue',
  'cli/chat',
  'engine/strategies',
  'engine/adapt-candidates',
  'engine/plan-experience',
  'engine/plan-packed',
  'sweep/bayesian',
  'model/assemble',
  'sweep/baselines',
  'model/inflate',
  'model/reference',
  'model/families',
  'engine/twin',
  'cli/privacy',
  'reproduce/reproduce',
  'model/gguf',
  'model/tokenizer',
  'statistics/statistics',
  'native/vulkan-kernels',
  'engine/wall',
];

/** Behind each other come the pure ones, last of all, of them too the longest first. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId, project }: TestSpecification) => {
      const place = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      const rank = place < 0 ? longest.length : place;
      return project.name === 'pure' ? longest.length + 1 + rank : rank;
    };
    return (await super.sort(files)).sort((a, b) => rankOf(a) - rankOf(b));
  }
}

const everything = ['test/**/*.test.ts'];
const root = import.meta.dirname;

/** One more than cores: many wait for a kernel, a browser or a limit of time. */
const maxWorkers = availableParallelism() + 1;

/** Later lines know no budget of this name, and do not start with a flag that they do not know. */
const isNode20 = process.versions.node.startsWith('20.');

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    setupFiles: ['test/fast-equality.ts'],
    // Mesa's Vulkan on the processor, whose workgroups are tiny here: vectors of four, and no threads besides the queue's.
    env: { LP_NUM_THREADS: '0', LP_NATIVE_VECTOR_WIDTH: '128' },
    // Most of what a test does is done a few times: to optimise it takes longer than to do it, and what lives shortly needs
    // not be copied where there is room.
    execArgv: isNode20 ? ['--interrupt-budget=1000000', '--min-semi-space-size=16'] : [],
    // What is compiled, where a test names its source: that is what ships, and it is loaded once per process.
    alias: [
      {
        find: /^(?:\.\.\/)+(native|engine|engine\/input|kernel|experiments)\/src\/(.*)$/,
        replacement: `${root}/$1/dist/$2`,
      },
    ],
    // As Node loads it: what is compiled already needs no translation, and no second instance.
    server: { deps: { external: [/\/(native|engine|input|kernel|experiments)\/dist\/.*\.js$/] } },
    // What is waited for comes, however slow the machine: a second is too little beside other work.
    expect: { poll: { timeout: 60_000 } },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: everything,
          exclude: [...alone, ...pure],
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'pure', include: pure, isolate: false, maxWorkers, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
