// The SDK "openai": its runner of tools for chats, and a loop over responses without a store.
import OpenAI from "openai";
import { question, models, tell, weather, schema } from "./common.mjs";

const sdk = new OpenAI({
  baseURL: `${process.env.BASE_URL}/v1`, apiKey: "any", maxRetries: 0,
});

async function chat(model, stream) {
  const runner = sdk.chat.completions.runTools({
    model, stream,
    messages: [{ role: "user", content: question }],
    tools: [{
      type: "function",
      function: {
        name: "weather", description: "The weather.", parameters: schema,
        parse: JSON.parse, function: weather,
      },
    }],
  });
  const text = await runner.finalContent();
  const messages = [...runner.messages, { role: "user", content: "Thank you." }];
  const last = await sdk.chat.completions.create({ model, messages });
  return [text, last.choices[0].message.content];
}

async function responses(model, stream) {
  const input = [{ role: "user", content: question }];
  const tools = [{ type: "function", name: "weather", parameters: schema, strict: false }];
  const asked = { model, input, tools, store: false, include: ["reasoning.encrypted_content"] };
  const answer = () =>
    stream ? sdk.responses.stream(asked).finalResponse() : sdk.responses.create(asked);
  for (;;) {
    const response = await answer();
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) {
      input.push({ role: "user", content: "Thank you." });
      delete asked.tools;
      return [response.output_text, (await answer()).output_text];
    }
    for (const call of calls) {
      const output = await weather(JSON.parse(call.arguments));
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
}

for (const model of models) {
  for (const stream of [false, true]) {
    tell("chat", model, stream, await chat(model, stream));
    tell("responses", model, stream, await responses(model, stream));
  }
}
