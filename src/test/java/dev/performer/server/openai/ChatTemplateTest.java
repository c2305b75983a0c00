package dev.performer.server.openai;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.server.openai.ChatTemplate.Message;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ChatTemplateTest {
  private static final Vocabulary VOCABULARY =
      Vocabulary.of(List.of("<s>", "</s>", "a"), null, null, "<s>", "</s>", null);
  private static final List<Message> MESSAGES =
      List.of(new Message("user", "Hello"), new Message("assistant", "Hi"));

  static Iterable<JsonNode> cases() {
    return StrictJson.readTree(Path.of("src/test/resources/data/chat_templates.json"));
  }

  /** What transformers made of these templates: {@code src/test/python/make_chat_templates.py}. */
  @ParameterizedTest
  @MethodSource("cases")
  void rendersAsTransformersDo(JsonNode one) {
    List<Message> messages = new java.util.ArrayList<>();
    for (JsonNode message : one.path("messages")) {
      messages.add(new Message(message.path("role").asText(), message.path("content").asText()));
    }
    assertThat(new ChatTemplate(one.path("template").asText(), VOCABULARY).render(messages))
        .isEqualTo(one.path("text").asText());
  }

  private static String rendered(String template) {
    return new ChatTemplate(template, VOCABULARY).render(MESSAGES);
  }

  @Test
  void whatATemplateRefusesIsAnError() {
    String template =
        "{% if messages | length > 1 %}{{ raise_exception('only one turn') }}{% endif %}";
    assertThatThrownBy(() -> rendered(template))
        .isInstanceOf(PerformerException.class)
        .hasMessage("the model's chat template refuses the messages: only one turn");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for %}",
        "{{ messages[0].content.rjust(9) }}",
        "{% include 'META-INF/MANIFEST.MF' %}",
        "{{ ''.class.forName('java.lang.Runtime') }}",
        "{{ ''.getClass() }}",
        "{{ 5.getClass() }}",
        "{{ loop.nothing( }}",
        "{% generation %}x{% endgeneration %}",
      })
  void whatCannotBeRenderedIsAnErrorInOneLine(String template) {
    assertThatThrownBy(() -> rendered(template))
        .isInstanceOf(PerformerException.class)
        .message()
        .startsWith("the model's chat template")
        .doesNotContain("\n")
        .doesNotContain("com.hubspot");
  }

  @Test
  void messagesAreNoTemplates() {
    var messages = List.of(new Message("user", "{{ bos_token }}{% raw %}"));
    assertThat(new ChatTemplate("{{ messages[0].content }}", VOCABULARY).render(messages))
        .isEqualTo("{{ bos_token }}{% raw %}");
  }

  @Test
  void isFoundBesideACheckpoint(@TempDir Path folder) throws Exception {
    Path weights = Files.createFile(folder.resolve("model.safetensors"));
    assertThat(JsonTokenizer.chatTemplateBeside(weights)).isEmpty();
    Path settings = folder.resolve("tokenizer_config.json");
    Files.writeString(settings, "{\"chat_template\": \"one\"}");
    assertThat(JsonTokenizer.chatTemplateBeside(weights)).contains("one");
    Files.writeString(
        settings,
        "{\"chat_template\": [{\"name\": \"tool\", \"template\": \"x\"}, {\"name\": \"default\", \"template\": \"two\"}]}");
    assertThat(JsonTokenizer.chatTemplateBeside(folder)).contains("two");
    Files.writeString(folder.resolve("chat_template.jinja"), "three");
    assertThat(JsonTokenizer.chatTemplateBeside(folder)).contains("three");
  }
}
