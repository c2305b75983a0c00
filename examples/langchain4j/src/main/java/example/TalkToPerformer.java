package example;

import dev.langchain4j.model.StreamingResponseHandler;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import dev.langchain4j.model.openai.OpenAiLanguageModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingLanguageModel;
import dev.langchain4j.model.output.Response;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * LangChain4j with models that {@code ./performer serve} serves: a text is continued, at once and as
 * it comes, and turned into a vector; a chat is answered where a model that has a template is named.
 */
public final class TalkToPerformer {
  private TalkToPerformer() {}

  /** @param args URL MODEL ENCODER PROMPT [CHAT_MODEL] */
  public static void main(String[] args) throws ExecutionException, InterruptedException {
    String url = args[0] + "/v1";
    String prompt = args[3];
    var texts =
        OpenAiLanguageModel.builder()
            .baseUrl(url).apiKey("none").modelName(args[1]).temperature(0.0).maxRetries(0).build();
    System.out.println("text " + texts.generate(prompt).content());

    var streaming =
        OpenAiStreamingLanguageModel.builder()
            .baseUrl(url).apiKey("none").modelName(args[1]).temperature(0.0).build();
    CompletableFuture<String> whole = new CompletableFuture<>();
    var pieces = new StringBuilder();
    streaming.generate(
        prompt,
        new StreamingResponseHandler<String>() {
          @Override
          public void onNext(String piece) {
            pieces.append(piece);
          }

          @Override
          public void onComplete(Response<String> response) {
            whole.complete(response.content());
          }

          @Override
          public void onError(Throwable why) {
            whole.completeExceptionally(why);
          }
        });
    System.out.println("streamed " + whole.get() + " in pieces " + pieces);

    var vectors =
        OpenAiEmbeddingModel.builder()
            .baseUrl(url).apiKey("none").modelName(args[2]).maxRetries(0).build();
    float[] vector = vectors.embed(prompt).content().vector();
    System.out.println("vector " + vector.length + " " + vector[0]);

    if (args.length > 4) {
      chat(url, args[4], prompt);
    }
  }

  private static void chat(String url, String model, String message)
      throws ExecutionException, InterruptedException {
    var chats =
        OpenAiChatModel.builder()
            .baseUrl(url).apiKey("none").modelName(model).temperature(0.0)
            .maxCompletionTokens(12).maxRetries(0).build();
    System.out.println("answer " + chats.chat(message));

    var streaming =
        OpenAiStreamingChatModel.builder()
            .baseUrl(url).apiKey("none").modelName(model).temperature(0.0)
            .maxCompletionTokens(12).build();
    CompletableFuture<String> whole = new CompletableFuture<>();
    streaming.chat(
        message,
        new StreamingChatResponseHandler() {
          private final StringBuilder pieces = new StringBuilder();

          @Override
          public void onPartialResponse(String piece) {
            pieces.append(piece);
          }

          @Override
          public void onCompleteResponse(ChatResponse response) {
            whole.complete(pieces.toString());
          }

          @Override
          public void onError(Throwable why) {
            whole.completeExceptionally(why);
          }
        });
    System.out.println("answer in pieces " + whole.get());
  }
}
