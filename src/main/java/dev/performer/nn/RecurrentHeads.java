package dev.performer.nn;

import dev.performer.PerformerException;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.RecurrentForm;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The recurrent form of one layer's heads: the first ones exact, the others FAVOR+. */
public final class RecurrentHeads {
  private final int heads;
  private final int exactHeads;
  private final List<RecurrentForm> forms = new ArrayList<>();

  private RecurrentHeads(int heads, int exactHeads) {
    this.heads = heads;
    this.exactHeads = exactHeads;
  }

  /**
   * Of a layer.
   *
   * @throws PerformerException if its attention is not causal or has no recurrent form
   */
  public static RecurrentHeads of(Ops tf, MultiHeadAttention layer) {
    int heads = layer.heads();
    int size = layer.headSize();
    if (layer.mixer() instanceof FavorHeads favor) {
      RecurrentHeads made = new RecurrentHeads(heads, favor.config().exactHeads());
      if (!favor.config().causal()) {
        throw new PerformerException("attention that is not causal has no recurrent form");
      }
      if (made.exactHeads > 0) {
        made.forms.add(new ExactAttention.Recurrence(made.exactHeads, size, size));
      }
      if (made.exactHeads < heads) {
        made.forms.add(RecurrentForm.of(favor.attention(tf), heads - made.exactHeads, size, size));
      }
      return made;
    }
    if (layer.mixer() instanceof ExactHeads exact && exact.attention().causal()) {
      RecurrentHeads made = new RecurrentHeads(heads, heads);
      made.forms.add(new ExactAttention.Recurrence(heads, size, size));
      return made;
    }
    throw new PerformerException(
        layer.mixer() instanceof ExactHeads
            ? "attention that is not causal has no recurrent form"
            : "Model Garden's attention has no recurrent form here");
  }

  /** What the state consists of; names of exact heads' and of FAVOR+'s differ. */
  public List<RecurrentForm.State> states() {
    return forms.stream().flatMap(form -> form.states().stream()).toList();
  }

  /** As {@link RecurrentForm#prefill}. */
  public RecurrentForm.Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> mask) {
    List<RecurrentForm.Advance> parts = new ArrayList<>();
    for (int i = 0; i < forms.size(); i++) {
      parts.add(
          forms
              .get(i)
              .prefill(tf, part(tf, queries, i), part(tf, keys, i), part(tf, values, i), mask));
    }
    return joined(tf, parts);
  }

  /** As {@link RecurrentForm#step}. */
  public RecurrentForm.Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value) {
    List<RecurrentForm.Advance> parts = new ArrayList<>();
    int at = 0;
    for (int i = 0; i < forms.size(); i++) {
      int count = forms.get(i).states().size();
      parts.add(
          forms
              .get(i)
              .step(
                  tf,
                  states.subList(at, at + count),
                  part(tf, query, i),
                  part(tf, key, i),
                  part(tf, value, i)));
      at += count;
    }
    return joined(tf, parts);
  }

  private Operand<TFloat32> part(Ops tf, Operand<TFloat32> x, int form) {
    if (forms.size() == 1) {
      return x;
    }
    int first = form == 0 ? 0 : exactHeads;
    int count = form == 0 ? exactHeads : heads - exactHeads;
    return tf.slice(
        x, tf.constant(new int[] {0, first, 0, 0}), tf.constant(new int[] {-1, count, -1, -1}));
  }

  private static RecurrentForm.Advance joined(Ops tf, List<RecurrentForm.Advance> parts) {
    if (parts.size() == 1) {
      return parts.get(0);
    }
    List<Operand<TFloat32>> states = new ArrayList<>();
    parts.forEach(part -> states.addAll(part.states()));
    return new RecurrentForm.Advance(
        tf.concat(parts.stream().map(RecurrentForm.Advance::output).toList(), tf.constant(1)),
        states);
  }
}
