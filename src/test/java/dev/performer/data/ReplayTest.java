package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class ReplayTest {
  private final AtomicInteger open = new AtomicInteger();

  /** Ten sequences, of which the fifth cannot be read. */
  private ExampleSource broken() {
    return new ExampleSource() {
      @Override
      public String name() {
        return "broken";
      }

      @Override
      public DataStream<Example> open() {
        open.incrementAndGet();
        return new DataStream<Example>() {
          private int next;

          @Override
          public boolean hasNext() {
            return next < 10;
          }

          @Override
          public Example next() {
            if (++next == 5) {
              throw new PerformerException("broken: record 5");
            }
            return Example.of(new int[] {5, 6, 7, 8});
          }

          @Override
          public void close() {
            open.decrementAndGet();
          }
        };
      }
    };
  }

  /** A run resumes by reading again what lies before; where that fails, nothing stays open. */
  @Test
  void aReplayThatFailsClosesItsStream() {
    Batching batching = new Batching(8, sequences(2), 64, false, false, false, false, 1);
    Batches batches =
        new ExampleBatches(broken(), ProteinVocabulary.google(), batching, Optional.empty(), 1);
    assertThatThrownBy(() -> batches.epoch(0, 4))
        .isInstanceOf(PerformerException.class)
        .hasMessage("broken: record 5");
    assertThat(open).hasValue(0);
  }

  private static BatchSize sequences(int count) {
    return new BatchSize.Sequences(count);
  }
}
