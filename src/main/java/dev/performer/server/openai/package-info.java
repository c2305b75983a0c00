/**
 * OpenAI's API: models, completions of texts and chats, embeddings.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.openai;
