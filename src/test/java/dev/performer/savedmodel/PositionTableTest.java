package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The tables of make_tuned.py, which are read in all ways that models have. */
class PositionTableTest {
  private final SavedModelDirectory model =
      SavedModelDirectory.open(ReferenceModels.directory("made/tuned").resolve("saved_model"));

  @ParameterizedTest
  @CsvSource({"serving_default, 12", "slice, 12", "raw_slice, 12", "backwards, 12", "padded, 10"})
  void aTableLimitsTheLength(String signature, int longest) {
    assertThat(PositionTable.of(model, signature))
        .contains(new PositionTable("embeddings/position", 12, longest));
  }

  @ParameterizedTest
  @CsvSource({"buffer", "constant"})
  void soDoesAConstant(String signature) {
    assertThat(PositionTable.of(model, signature).map(PositionTable::longest)).contains(12);
  }

  /** Distances are clipped, so that the rows suffice for any length. */
  @Test
  void aTableOfDistancesLimitsNothing() {
    assertThat(PositionTable.of(model, "relative")).isEmpty();
  }

  @Test
  void kerasTablesAreFound() {
    var bert = SavedModelDirectory.open(saved("bert_softmax"));
    var expected = new PositionTable("position_embedding/embeddings", 64, 64);
    assertThat(PositionTable.of(bert, "serving_default")).contains(expected);
  }

  private static Path saved(String name) {
    return ReferenceModels.directory("models/" + name).resolve("saved_model");
  }
}
