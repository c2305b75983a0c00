package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.Overrides;
import dev.performer.data.ProteinSequence;
import dev.performer.data.StrictJson;
import dev.performer.training.TinyModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A recipe that trains in seconds, on the language of {@link TinyModel}. */
public final class TinyRecipe {
  public static final String TEXT =
      """
      task: causal-lm
      data: {train: train.fasta, validation: valid.fasta, length: 32, bucket: 16, window: 64}
      model:
        layers: 1
        hiddenSize: 16
        heads: 2
        mlpSize: 32
        attention: {kernel: relu, features: 8}
      training:
        steps: 20
        batchTokens: 256
        learningRate: 1.0e-2
        warmupSteps: 5
        evaluateEvery: 10
        evaluationBatches: 2
        checkpointEvery: 5
        logEvery: 2
        diagnosticsEvery: 5
      """;

  private TinyRecipe() {}

  /** Writes the data into a folder and reads the recipe with settings. */
  public static Recipe in(Path folder, String... settings) {
    if (!Files.exists(folder.resolve("valid.fasta"))) {
      write(folder.resolve("train.fasta"), 200, 1);
      write(folder.resolve("valid.fasta"), 40, 2);
    }
    Recipe recipe =
        Recipe.of(new Overrides(List.of(settings)).over(tree(TEXT)), "tiny.yaml", List.of(folder));
    assertThat(recipe.model()).as("opened").isNotNull();
    return recipe;
  }

  public static JsonNode tree(String yaml) {
    return StrictJson.readYaml(yaml, "tiny.yaml");
  }

  private static void write(Path file, int sequences, long seed) {
    StringBuilder text = new StringBuilder();
    try (var stream = TinyModel.language(sequences, seed).open()) {
      while (stream.hasNext()) {
        ProteinSequence sequence = stream.next();
        text.append('>').append(sequence.id()).append('\n');
        text.append(sequence.residues()).append('\n');
      }
    }
    try {
      Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
