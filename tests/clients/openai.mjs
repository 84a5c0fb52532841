// usage: openai.mjs BASE_URL. Drives a server of llama-scout-mini with OpenAI's own client.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'key-of-the-test', maxRetries: 0 });
const models = await client.models.list();
const model = models.data[0].id;
const messages = [{ role: 'user', content: 'Tell me a story.' }];
const common = { model, messages, max_tokens: 24, seed: 5 };

const whole = await client.chat.completions.create(common);
assert.equal(whole.choices[0].message.role, 'assistant');
assert.ok(whole.usage.completion_tokens > 0);

let text = '';
let usage;
const stream = await client.chat.completions.create({
  ...common, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

const predicted = await client.chat.completions.create({
  ...common, prediction: { type: 'content', content: whole.choices[0].message.content } });
assert.equal(predicted.choices[0].message.content, whole.choices[0].message.content);
assert.ok(predicted.usage.completion_tokens_details.accepted_prediction_tokens >= 0);

const scored = await client.completions.create({
  model, prompt: 'Once upon a time', echo: true, logprobs: 2, max_tokens: 0 });
assert.equal(scored.choices[0].text, 'Once upon a time');
assert.ok(scored.choices[0].logprobs.token_logprobs.every((x) => x <= 0));

const choices = await client.chat.completions.create({
  ...common, n: 3, logprobs: true, top_logprobs: 2, stop: ['.'] });
assert.equal(choices.choices.length, 3);
assert.ok(choices.choices[0].logprobs.content.every((x) => x.top_logprobs.length === 2));

const tools = [{ type: 'function', function: {
  name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }];
const called = await client.chat.completions.create({ ...common, tools });
assert.ok(['stop', 'length', 'tool_calls'].includes(called.choices[0].finish_reason));

await assert.rejects(client.chat.completions.create({ ...common, temperature: 3 }),
  (error) => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
await assert.rejects(client.chat.completions.create({ ...common, model: 'other' }),
  OpenAI.NotFoundError);
const stranger = new OpenAI({ baseURL: process.argv[2], apiKey: 'wrong', maxRetries: 0 });
await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);

const left = await client.chat.completions.create({ ...common, max_tokens: 2000, stream: true });
for await (const chunk of left) break; // leaving cancels it
console.log('openai: ok');
