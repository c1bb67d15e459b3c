// openai for Node: `npm install openai`, then `node openai_node.mjs`.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.JEVONS_URL ?? "http://127.0.0.1:8800/v1",
  apiKey: process.env.JEVONS_KEY ?? "none",
});

const reply = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "What is the capital of Peru?" }],
  max_tokens: 60,
});
console.log(JSON.stringify(reply.usage.energy));

const stream = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "Prove that there are infinitely many primes." }],
  max_tokens: 60,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) if (chunk.usage) console.log(JSON.stringify(chunk.usage.energy));
