package dev.performer.server.openai;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.Vocabulary;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import jinjava.javax.el.CompositeELResolver;

/**
 * Makes a prompt of a conversation, as a model's Jinja template has it: rendered as Hugging Face's
 * transformers render it, without access to files or Java. Safe for use by several threads.
 */
final class ChatTemplate {
  private static final int LONGEST = 16 << 20;
  private static final Set<String> LOADERS = Set.of("include", "import", "from", "extends");
  private static final Jinjava JINJA = jinja();

  private final String source;
  private final Vocabulary vocabulary;

  /** Of a template, and of the tokens that it names. */
  ChatTemplate(String source, Vocabulary vocabulary) {
    // Python's Jinja drops one line end behind a template; a list backwards is a filter here.
    this.source =
        source
            .replaceFirst("\\R\\z", "")
            .replaceAll("([\\w.]+)\\[\\s*:\\s*:\\s*-1\\s*]", "($1|reverse)");
    this.vocabulary = vocabulary;
  }

  /** What one says in a conversation. */
  record Message(String role, String content) {}

  /**
   * The prompt that an answer follows.
   *
   * @throws PerformerException if the template cannot be rendered, or refuses the messages
   */
  String render(List<Message> messages) {
    Map<String, Object> given = new HashMap<>();
    given.put(
        "messages",
        messages.stream().map(m -> Map.of("role", m.role, "content", m.content)).toList());
    given.put("add_generation_prompt", true);
    given.put("bos_token", token(vocabulary.bos()));
    given.put("eos_token", token(vocabulary.eos()));
    given.put("pad_token", token(vocabulary.pad()));
    RenderResult result = JINJA.renderForResult(source, given);
    if (!result.getErrors().isEmpty()) {
      var first = result.getErrors().get(0);
      Throwable why = first.getException();
      while (why != null && why.getCause() != null && !(why instanceof Refused)) {
        why = why.getCause();
      }
      String text = "the model's chat template %s: %s";
      throw why instanceof Refused
          ? new PerformerException(text.formatted("refuses the messages", why.getMessage()), why)
          : new PerformerException(
              text.formatted(
                  "is not rendered (line %d)".formatted(first.getLineno()),
                  Excerpt.of(first.getMessage())));
    }
    return result.getOutput();
  }

  private String token(OptionalInt id) {
    return id.isPresent() ? vocabulary.tokens().get(id.getAsInt()) : "";
  }

  /** What a template does not take. */
  static final class Refused extends RuntimeException {
    Refused(String message) {
      super(message);
    }
  }

  /** The function by which templates refuse messages. */
  public static Object raise(String message) {
    throw new Refused(message);
  }

  private static Jinjava jinja() {
    CompositeELResolver values = new CompositeELResolver();
    values.add(new PythonStrings());
    values.add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY);
    LegacyOverrides python =
        LegacyOverrides.newBuilder()
            .withEvaluateMapKeys(true)
            .withIterateOverMapKeys(true)
            .withUsePyishObjectMapper(true)
            .withUseNaturalOperatorPrecedence(true)
            .withParseWhitespaceControlStrictly(true)
            .withAllowAdjacentTextNodes(true)
            .withUseTrimmingForNotesAndExpressions(true)
            .withKeepNullableLoopValues(true)
            .withHandleBackslashInQuotesOnly(true)
            .build();
    Jinjava jinja =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withKeepTrailingNewline(true)
                .withNestedInterpretationEnabled(false)
                .withMaxOutputSize(LONGEST)
                .withMaxStringLength(LONGEST)
                .withDisabled(Map.of(Library.TAG, LOADERS))
                .withElResolver(values)
                .withLegacyOverrides(python)
                .build());
    var raise =
        new ELFunctionDefinition("", "raise_exception", ChatTemplate.class, "raise", String.class);
    jinja.getGlobalContext().registerFunction(raise);
    return jinja;
  }
}
