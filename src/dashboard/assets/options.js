// What an alias can be set to, as docs/configuration.md says it. Which option belongs to which
// strategy is known here, so that those that would be refused are not offered.

const LATENCY_METRIC = {
  name: 'metric',
  label: 'Which time',
  type: 'select',
  options: [
    ['total', 'until the whole answer'],
    ['ttft', 'until the first token'],
  ],
};
const UNIT = {
  name: 'unit',
  label: 'What is counted',
  type: 'select',
  options: [
    ['tokens', 'tokens'],
    ['requests', 'requests'],
    ['cost', 'cost'],
  ],
  hint: 'Unset: the tightest limit where every target has one, else tokens.',
};

export const STRATEGIES = [
  {
    id: 'priority',
    label: 'Priority',
    says: 'The first target gets everything while it is well; the next ones stand by in this order.',
    options: [
      {
        name: 'within',
        label: 'Order within equal ranks',
        type: 'select',
        options: ['lowest-latency', 'highest-throughput', 'lowest-usage', 'lowest-price'].map((id) => [id, id]),
        hint: 'Unset: drawn by weight.',
      },
    ],
  },
  {
    id: 'random-shuffle',
    label: 'Random shuffle',
    says: 'Each request draws a target; weights are their shares.',
    options: [
      {
        name: 'sticky_by',
        label: 'Same target for the same',
        type: 'identity',
        hint: 'user, prompt_cache_key, conversation or header:NAME',
      },
    ],
  },
  {
    id: 'lowest-latency',
    label: 'Lowest latency',
    says: 'The shortest time predicted for this very request comes first.',
    options: [
      LATENCY_METRIC,
      {
        name: 'quantile',
        label: 'Quantile',
        type: 'number',
        min: 0.5,
        max: 0.99,
        step: 0.01,
        hint: '0.5 to 0.99. Unset: the mean.',
      },
    ],
  },
  {
    id: 'highest-throughput',
    label: 'Highest throughput',
    says: 'The target with the most capacity left comes first.',
    options: [
      {
        name: 'metric',
        label: 'Which rate',
        type: 'select',
        options: [
          ['requests', 'requests that can be sustained'],
          ['tokens_per_second', 'tokens per second of one answer'],
        ],
      },
    ],
  },
  {
    id: 'lowest-usage',
    label: 'Lowest usage',
    says: 'The target that was used least in the last minute comes first; weight 2 may be used twice as much as 1.',
    options: [
      UNIT,
      {
        name: 'scope',
        label: 'Whose usage',
        type: 'select',
        options: [
          ['fleet', 'everybody’s'],
          ['project', 'the project’s'],
          ['key', 'the key’s'],
        ],
      },
    ],
  },
  {
    id: 'lowest-price',
    label: 'Lowest price',
    says: 'The least expected cost of this very request comes first.',
    options: [
      {
        name: 'max_latency',
        label: 'Only if answered within',
        type: 'scalar',
        placeholder: '3s',
        hint: 'If any target meets it in nine of ten requests.',
      },
      { name: 'strict', label: 'Leave out targets without a known price', type: 'bool' },
    ],
  },
  {
    id: 'category',
    label: 'Category',
    says: 'What a prompt is about decides; each category has targets and a strategy of its own.',
    options: [
      {
        name: 'classifier.tier',
        label: 'How closely to look',
        type: 'select',
        options: [
          ['cascade', 'closer where in doubt (milliseconds)'],
          ['fast', 'a glance (microseconds)'],
        ],
      },
      { name: 'classifier.budget', label: 'Wait for the closer look at most', type: 'scalar', placeholder: '20ms' },
      {
        name: 'on_exhausted',
        label: 'When no target can serve',
        type: 'select',
        options: [
          ['default', 'go on with those of default'],
          ['fail', 'the request fails'],
        ],
      },
      { name: 'pin', label: 'The first prompt decides for the whole conversation', type: 'bool' },
      { name: 'hint', label: 'Believe the header x-pointsman-category', type: 'bool' },
    ],
  },
];

const BY_ID = new Map(STRATEGIES.map((one) => [one.id, one]));
export const strategy = (id) => BY_ID.get(id) || { id, label: id, says: '', options: [] };

/// The options that stand beside a strategy, those of `within` included.
export function optionsOf(document) {
  const own = strategy(document.strategy).options;
  // Nothing is ordered within ranks that one target each has.
  const ranks = (document.targets || []).map((target, i) => target.rank ?? i);
  if (document.strategy === 'priority' && !document.within && new Set(ranks).size === ranks.length) return [];
  return document.strategy === 'priority' && document.within ? [...own, ...strategy(document.within).options] : own;
}

const TOP = (name) => name.split('.')[0];

/// Takes out what does not belong to the strategy any more. Returns what that was.
export function prune(document) {
  const kept = new Set([...strategy(document.strategy).options, ...optionsOf(document)].map((option) => TOP(option.name)));
  const gone = [];
  for (const name of new Set(STRATEGIES.flatMap((one) => one.options.map((option) => TOP(option.name))))) {
    if (name in document && !kept.has(name)) {
      gone.push(name);
      delete document[name];
    }
  }
  return gone;
}

export const LEARNING = [
  {
    name: 'explore',
    label: 'Spend on trying others',
    type: 'number',
    min: 0,
    max: 0.2,
    step: 0.01,
    placeholder: '0.03',
    hint: 'A share of what requests cost; 0 is never.',
  },
  {
    name: 'hedge',
    label: 'Second copies of late requests',
    type: 'scalar',
    placeholder: 'false',
    hint: 'true, or a share up to 0.2. Both copies are paid for.',
  },
  {
    name: 'affinity',
    label: 'Keep where the prompt is cached',
    type: 'identity',
    hint: 'user, prompt_cache_key, conversation or header:NAME',
  },
  { name: 'give_up_early', label: 'Leave attempts that are far too late', type: 'bool', standard: true },
];

export const LIMITS = [
  { name: 'max_attempts', label: 'Attempts per request', type: 'number', min: 1, max: 20, step: 1, placeholder: '3' },
  { name: 'first_token_timeout', label: 'First token within', type: 'scalar', placeholder: '30s' },
  { name: 'answer_timeout', label: 'Whole answer within', type: 'scalar', placeholder: '5m' },
  { name: 'deadline', label: 'First content over all attempts', type: 'scalar', placeholder: '10m' },
  { name: 'total_timeout', label: 'Last byte within', type: 'scalar', placeholder: '30m' },
  { name: 'stream_idle_timeout', label: 'Silence in a stream', type: 'scalar', placeholder: '2m' },
  {
    name: 'max_price.input',
    label: 'Dearest input, $ per million',
    type: 'number',
    min: 0,
    step: 'any',
    placeholder: 'no bound',
  },
  {
    name: 'max_price.output',
    label: 'Dearest output, $ per million',
    type: 'number',
    min: 0,
    step: 'any',
    placeholder: 'no bound',
  },
  { name: 'fallback.any_error', label: 'Go on when a provider blames the request', type: 'bool' },
  { name: 'fallback.content_policy', label: 'Go on when a provider refuses the content', type: 'bool' },
  { name: 'drop_unsupported', label: 'Leave out parameters that a target cannot take', type: 'bool' },
];

export const ACCESS = [
  { name: 'projects', label: 'Only these projects', type: 'list', placeholder: 'all' },
  { name: 'budget', label: 'Budget', type: 'budget', placeholder: '$50/day, $1000/month' },
];

export const TARGET = [
  { name: 'providers.only', label: 'Only these providers', type: 'list', placeholder: 'all that serve it' },
  { name: 'providers.order', label: 'These providers first', type: 'list' },
  { name: 'providers.ignore', label: 'Not these providers', type: 'list' },
  { name: 'first_token_timeout', label: 'First token within', type: 'scalar', placeholder: 'as the alias' },
  { name: 'budget', label: 'Budget here', type: 'budget', placeholder: '$20/day' },
  { name: 'params', label: 'Parameters to set (JSON)', type: 'json', placeholder: '{ "temperature": 0.2 }' },
  { name: 'drop_params', label: 'Parameters to take out', type: 'list' },
  { name: 'last_resort', label: 'Only as a last resort', type: 'bool' },
  { name: 'enabled', label: 'Switched on', type: 'bool', standard: true },
];

/// The categories that the classifier knows by itself.
export const BUILT_IN = [
  'coding',
  'math',
  'data_analysis',
  'translation',
  'writing',
  'rewriting',
  'summarization',
  'classification',
  'extraction',
  'question_answering',
  'brainstorming',
  'conversation',
];

export const CATEGORY = [
  {
    name: 'threshold',
    label: 'Sure enough from',
    type: 'number',
    min: 0,
    max: 1,
    step: 0.01,
    placeholder: 'the classifier’s own',
    hint: 'Below this confidence a prompt goes to default.',
    test: 'category-threshold',
  },
  {
    name: 'margin',
    label: 'Ahead of the next by',
    type: 'number',
    min: 0,
    max: 1,
    step: 0.01,
    placeholder: 'the classifier’s own',
  },
  {
    name: 'on_exhausted',
    label: 'When no target can serve',
    type: 'select',
    options: [
      ['default', 'go on with default'],
      ['fail', 'fail'],
    ],
  },
];
