package dev.performer.nn;

import static dev.performer.PerformerException.require;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.RecurrentForm;
import dev.performer.attention.RecurrentForm.Advance;
import dev.performer.nn.MultiHeadAttention.Projected;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The recurrent form of one layer's heads: the first ones exact, the others FAVOR+. */
public record RecurrentHeads(int heads, List<Part> parts) {
  /** Heads that share a form. */
  record Part(RecurrentForm form, int first, int count) {}

  /**
   * Of a layer.
   *
   * @throws dev.performer.PerformerException if its attention is not causal or has no recurrent
   *     form
   */
  public static RecurrentHeads of(Ops tf, MultiHeadAttention layer) {
    int heads = layer.heads();
    int size = layer.headSize();
    require(
        !(layer.mixer() instanceof KernelHeads),
        "Model Garden's attention has no recurrent form here");
    FavorHeads favor = layer.mixer() instanceof FavorHeads mixer ? mixer : null;
    boolean causal =
        layer.mixer() instanceof ExactHeads mixer
            ? mixer.attention().causal()
            : favor.config().causal();
    require(causal, "attention that is not causal has no recurrent form");
    int exact = favor == null ? heads : favor.config().exactHeads();
    List<Part> parts = new ArrayList<>();
    if (exact > 0) {
      parts.add(new Part(new ExactAttention.Recurrence(exact, size, size), 0, exact));
    }
    if (exact < heads) {
      int rest = heads - exact;
      var form = RecurrentForm.of(favor.attention(tf), rest, size, size);
      parts.add(new Part(form, exact, rest));
    }
    return new RecurrentHeads(heads, parts);
  }

  /** What the state consists of; names of exact heads' and of FAVOR+'s differ. */
  public List<RecurrentForm.State> states() {
    return parts.stream().flatMap(part -> part.form().states().stream()).toList();
  }

  /** As {@link RecurrentForm#prefill}. */
  public Advance prefill(Ops tf, Projected all, Operand<TFloat32> mask) {
    List<Advance> advances = new ArrayList<>();
    for (Part part : parts) {
      Projected own = all.some(tf, part.first(), part.count(), heads);
      advances.add(part.form().prefill(tf, own.queries(), own.keys(), own.values(), mask));
    }
    return joined(tf, advances);
  }

  /** As {@link RecurrentForm#step}. */
  public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected all) {
    List<Advance> advances = new ArrayList<>();
    int at = 0;
    for (Part part : parts) {
      Projected own = all.some(tf, part.first(), part.count(), heads);
      int end = at + part.form().states().size();
      var before = states.subList(at, end);
      advances.add(part.form().step(tf, before, own.queries(), own.keys(), own.values()));
      at = end;
    }
    return joined(tf, advances);
  }

  private static Advance joined(Ops tf, List<Advance> parts) {
    return parts.size() == 1
        ? parts.get(0)
        : new Advance(
            tf.concat(parts.stream().map(Advance::output).toList(), tf.constant(1)),
            parts.stream().flatMap(part -> part.states().stream()).toList());
  }
}
