// The SDK "@anthropic-ai/sdk": its runner of tools, over a thread and with the whole conversation.
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { z } from "zod";
import { question, models, tell, weather } from "./common.mjs";

const sdk = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "any", maxRetries: 0 });
const tool = betaZodTool({
  name: "weather", description: "The weather.", inputSchema: z.object({ city: z.string() }),
  run: weather,
});

function textOf(message) {
  return message.content.filter((b) => b.type === "text").map((b) => b.text).join("");
}

async function messages(model, stream, thread) {
  const runner = sdk.beta.messages.toolRunner({
    model, stream, max_tokens: 3000,
    messages: [{ role: "user", content: question }],
    tools: [tool],
    ...(thread ? {} : { thread: false }),
  });
  let last;
  for await (const message of runner) {
    last = stream ? await message.finalMessage() : message;
  }
  const text = textOf(last);
  if (thread) return [text];
  const turns = [
    ...runner.params.messages, { role: "assistant", content: last.content },
    { role: "user", content: "Thank you." },
  ].filter((turn, place, all) => place === 0 || turn.role !== all[place - 1].role);
  const thanks = await sdk.beta.messages.create({ model, max_tokens: 3000, messages: turns });
  return [text, textOf(thanks)];
}

for (const model of models) {
  for (const stream of [false, true]) {
    tell("thread", model, stream, await messages(model, stream, true));
    tell("messages", model, stream, await messages(model, stream, false));
  }
}
