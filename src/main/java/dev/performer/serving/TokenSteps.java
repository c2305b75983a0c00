package dev.performer.serving;

import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.tensorflow.proto.RunMetadata;

/**
 * The steps with which {@link GenerationSession} continues texts, for who measures them: which
 * token is read makes no difference to their time. Owns the model; one thread uses it.
 */
public final class TokenSteps implements AutoCloseable {
  /** After so many steps the same work comes again: one of them takes in what waits. */
  public static final int TURN = ConstantStep.LONGEST_WAIT;

  private static final int TOKEN = 1;

  private final SavedModelPredictor model;
  private final StateDecoder decoder;

  private TokenSteps(SavedModelPredictor model) {
    this.model = model;
    decoder = StateDecoder.of(model);
  }

  /** Of a model. @throws dev.performer.PerformerException if it has no states to generate with */
  public static TokenSteps open(Path model) {
    SavedModelPredictor loaded = SavedModelPredictor.load(model);
    try {
      return new TokenSteps(loaded);
    } catch (RuntimeException e) {
      loaded.close();
      throw e;
    }
  }

  /** Texts of equal length that grow together. */
  public final class Texts implements AutoCloseable {
    private final Decoder.Batch batch;
    private final int[] tokens;

    private Texts(int rows, int length) {
      int[] read = new int[length];
      Arrays.fill(read, TOKEN);
      tokens = new int[rows];
      Arrays.fill(tokens, TOKEN);
      List<TextState> one = decoder.read(Collections.singletonList(null), List.of(read));
      try {
        batch = decoder.join(null, new int[0], Collections.nCopies(rows, one.get(0)));
      } finally {
        one.forEach(TextState::close);
      }
    }

    /** Reads one more token of each. */
    public void step() {
      batch.step(tokens);
    }

    /** The same so many times, with TensorFlow's traces of all. */
    public RunMetadata traced(int steps) {
      RunMetadata.Builder all = RunMetadata.newBuilder();
      decoder.trace(all::mergeFrom);
      try {
        for (int i = 0; i < steps; i++) {
          step();
        }
      } finally {
        decoder.trace(null);
      }
      return all.build();
    }

    @Override
    public void close() {
      batch.close();
    }
  }

  /** So many texts, of which so many tokens are read. */
  public Texts texts(int rows, int length) {
    return new Texts(rows, length);
  }

  /** The model itself. */
  public SavedModelPredictor model() {
    return model;
  }

  @Override
  public void close() {
    decoder.close();
    model.close();
  }
}
