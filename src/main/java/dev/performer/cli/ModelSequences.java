package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenRows;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.ModelCards;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/** Sequences for a model of ours: token ids in an .npz, or FASTA where letters are tokens. */
final class ModelSequences {
  private final Path path;
  private final PerformerModels.Saved model;
  private final Optional<Vocabulary> vocabulary;

  /**
   * @param path where the model was read, for messages
   * @param known its vocabulary; where that is empty, its card's
   */
  ModelSequences(Path path, PerformerModels.Saved model, Optional<Vocabulary> known) {
    this.path = path;
    this.model = model;
    ModelCard.Vocabulary card = model.card().vocabulary();
    vocabulary =
        known.isPresent() || card == null ? known : Optional.of(ModelCards.vocabulary(card));
  }

  /**
   * Reads a file.
   *
   * @param length tokens of a sequence at most; longer ones are cropped, which is noted
   * @throws PerformerException if there is no sequence, or an id that the model does not know
   */
  TokenRows read(Path file, int length) {
    TokenRows rows = rows(file, length).cropped(length);
    rows.requireIdsBelow(model.config().vocabularySize());
    return rows;
  }

  /** What fills up short sequences. */
  int pad() {
    return padId().orElse(0);
  }

  /** The length to which all sequences are padded, as this model needs; 0 for none. */
  int paddedLength() {
    ModelCard.LanguageModel tensors = model.card().languageModel();
    return tensors == null || tensors.paddedLength() == null ? 0 : tensors.paddedLength();
  }

  private TokenRows rows(Path file, int length) {
    if (file.toString().toLowerCase(Locale.ROOT).endsWith(".npz")) {
      return TokenRows.npz(file, padId());
    }
    if (vocabulary.isEmpty()) {
      throw new PerformerException(
          file
              + ": "
              + path
              + " does not say what its token ids mean, so it can only read token ids: give an"
              + " .npz with 'tokens' [N, L] and 'mask' [N, L]");
    }
    return TokenRows.sequences(SequenceSource.fasta(file), vocabulary.get(), length);
  }

  private OptionalInt padId() {
    if (model.config().padId() != null) {
      return OptionalInt.of(model.config().padId());
    }
    return vocabulary.map(Vocabulary::pad).orElse(OptionalInt.empty());
  }
}
