package dev.performer.distill;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.TableFile;
import dev.performer.data.TokenRows;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Sequences for a model of ours: token ids in an .npz; FASTA, lines of text or a column of a table
 * where it is known what its tokens mean.
 *
 * @param path where the model was read, for messages
 * @param tokenizer where that is empty, its card's
 */
public record ModelSequences(
    Path path, PerformerModels.Saved model, Optional<Tokenizer> tokenizer) {
  public ModelSequences {
    var card = Optional.ofNullable(model.card().vocabulary());
    tokenizer = tokenizer.or(() -> card.map(CardTokenizer::of));
  }

  /** Reads a file; sequences of more tokens than the length are cropped, which is noted. */
  public TokenRows read(Path file, int length) {
    TokenRows rows = rows(file, length).cropped(length);
    rows.requireIdsBelow(model.config().vocabularySize());
    return rows;
  }

  /** What fills up short sequences. */
  public int pad() {
    return padId().orElse(0);
  }

  /** The length to which all sequences are padded, as this model needs; 0 for none. */
  public int paddedLength() {
    var tensors = Optional.ofNullable(model.card().languageModel());
    return tensors.map(ModelCard.LanguageModel::paddedLength).orElse(0);
  }

  private TokenRows rows(Path file, int length) {
    if (file.toString().toLowerCase(Locale.ROOT).endsWith(".npz")) {
      return TokenRows.npz(file, padId());
    }
    String text =
        "%s: %s does not say what its token ids mean: give an .npz of token ids with 'tokens' [N, L]"
            + " and 'mask' [N, L], or import it with a tokenizer";
    PerformerException.require(tokenizer.isPresent(), text, file, path);
    // A sequence of letters is cropped with its end token, and is none without letters.
    boolean isLetters = tokenizer.get() instanceof LetterTokenizer && !TableFile.isNamed(file);
    var texts =
        TokenizedSequences.read(file, tokenizer.get(), isLetters ? Integer.MAX_VALUE : length);
    var rows =
        texts.encodings().stream()
            .filter(some -> isLetters ? some.end() > some.start() : some.ids().length > 0)
            .map(Tokenizer.Encoding::ids)
            .toList();
    var notes = texts.report().map(line -> file + ": " + line).stream().toList();
    return new TokenRows(file.toString(), rows, notes);
  }

  private OptionalInt padId() {
    Integer own = model.config().padId();
    var known = tokenizer.map(t -> t.vocabulary().pad()).orElse(OptionalInt.empty());
    return own != null ? OptionalInt.of(own) : known;
  }
}
