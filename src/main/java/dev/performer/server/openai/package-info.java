/** OpenAI's API: models, completions of texts and chats, embeddings. */
package dev.performer.server.openai;
