package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelCardTest {
  @TempDir Path model;

  private void write(String json) throws IOException {
    Files.createDirectories(model.resolve(ModelCard.FILE).getParent());
    Files.writeString(model.resolve(ModelCard.FILE), json);
  }

  @Test
  void aCardComesBackAsItWas() throws IOException {
    ModelCard card =
        ModelCard.of(
            AttentionConfig.Favor.of(Kernel.SOFTMAX).withCausality(true),
            new ModelCard.Vocabulary("protein", List.of("<pad>", "A", "é\n"), 0, 4, null, 1),
            new ModelCard.LanguageModel(
                "serving_default", "tokens", "mask", "logits", ModelCard.Objective.MASKED_LM),
            new ModelCard.Provenance(
                "original",
                null,
                null,
                null,
                "data",
                -1L,
                1L << 40,
                Map.of("tensorflow", "2.18.0"),
                Map.of("perplexity", 17.25),
                Map.of("perplexity", 15.5),
                "2026-11-24T07:00:00Z"));
    card.write(model);
    assertThat(ModelCard.read(model)).contains(card);
    assertThat(model.resolve(ModelCard.FILE)).content().contains("\"masked-lm\"");
  }

  @Test
  void modelGardensKernelIsNamed() {
    PerformerConfig config =
        PerformerConfig.preset("kernel-encoder")
            .with(
                new ObjectMapper()
                    .createObjectNode()
                    .set(
                        "attention",
                        new ObjectMapper()
                            .createObjectNode()
                            .set(
                                "modelGarden",
                                new ObjectMapper()
                                    .createObjectNode()
                                    .put("featureTransform", "expmod")
                                    .put("numRandomFeatures", 8))),
                "test");
    AttentionConfig attention = config.attentionOf(0);
    assertThat(attention.kernel()).hasToString("expmod");
    assertThat(attention).isInstanceOf(AttentionConfig.ModelGarden.class);
    assertThat(attention.projectionRows()).isEqualTo(8);
    assertThat(PerformerConfig.preset("bert").attentionOf(0).kernel()).hasToString("softmax");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"kernel\":\"exp\",\"convention\":\"performer\",\"features\":6,\"projection\":\"iid\",\"rowLengths\":\"sqrt-d\",\"causal\":true,\"exact\":false} | exp | 6 | true",
        "{\"kernel\":\"softmax\",\"causal\":false,\"exact\":true} | softmax | 0 | false",
        "{\"kernel\":\"expmod\",\"convention\":\"model-garden\",\"features\":8,\"causal\":false,\"exact\":false} | expmod | 8 | false"
      })
  void oldCardsAreRead(String attention, String kernel, int features, boolean causal)
      throws IOException {
    write("{\"formatVersion\":1,\"attention\":" + attention + "}");
    AttentionConfig read = ModelCard.read(model).orElseThrow().attention();
    assertThat(read.kernel()).hasToString(kernel);
    assertThat(read.projectionRows()).isEqualTo(features);
    assertThat(read.isCausal()).isEqualTo(causal);
  }

  @Test
  void absentPartsAreNotWritten() throws IOException {
    ModelCard card = ModelCard.of(null, null, null, null);
    card.write(model);
    assertThat(model.resolve(ModelCard.FILE)).content().doesNotContain("null");
    assertThat(ModelCard.read(model)).contains(card);
  }

  @Test
  void aModelWithoutCardIsFine() {
    assertThat(ModelCard.read(model)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"formatVersion\":1,\"vocabulry\":{}} | vocabulry | did you mean vocabulary?",
        "{\"formatVersion\":1,\"vocabulary\":{\"padID\":3}} | vocabulary.padID | did you mean padId?",
        "{\"formatVersion\":1,\"vocabulary\":{\"padId\":\"three\"}} | vocabulary.padId | whole number",
        "{\"formatVersion\":1,\"vocabulary\":{\"padId\":\"3\"}} | vocabulary.padId | whole number",
        "{\"formatVersion\":1,\"vocabulary\":{\"tokens\":[1]}} | vocabulary.tokens[0] | string in quotes",
        "{\"formatVersion\":1,\"languageModel\":{\"objective\":\"mask\"}} | languageModel.objective | expected one of",
        "{\"formatVersion\":1,\"formatVersion\":1} | formatVersion | uplicate",
        "{\"formatVersion\":9} | formatVersion is 9 | reads 1",
        "{} | formatVersion is 0 | reads 1",
        "{\"formatVersion\":1 | not JSON | line 1",
        "{\"formatVersion\":1,\"vocabulary\":{\"tokens\":\"A\"}} | vocabulary.tokens | list",
        "{\"formatVersion\":1,\"vocabulary\":[]} | vocabulary | object",
        "[] | whole file | object",
        "null | null | object",
        "{\"formatVersion\":1} x | not JSON | x",
      })
  void aBrokenCardNamesFileAndKey(String json, String first, String second) throws IOException {
    write(json);
    assertThatThrownBy(() -> ModelCard.read(model))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("performer.json")
        .hasMessageContaining(first)
        .hasMessageContaining(second)
        .hasMessageNotContaining("\n");
  }
}
