package dev.performer.nn;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.RecurrentForm;
import dev.performer.attention.RecurrentForm.Advance;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The recurrent form of one layer's heads: the first ones exact, the others FAVOR+. */
public record RecurrentHeads(int heads, List<Part> parts) implements RecurrentForm {
  /** Heads that share a form. */
  record Part(RecurrentForm form, int first, int count) {}

  /** Of a layer. @throws dev.performer.PerformerException if it has no recurrent form */
  public static RecurrentHeads of(Ops tf, MultiHeadAttention layer) {
    int heads = layer.heads();
    int size = layer.headSize();
    var mixer = layer.mixer();
    boolean isGarden = mixer instanceof HeadMixer.ModelGarden;
    require(!isGarden, "Model Garden's attention has no recurrent form here");
    boolean isReformer = mixer instanceof HeadMixer.Reformer;
    require(!isReformer, "Reformer's attention has no recurrent form");
    boolean isLinformer = mixer instanceof HeadMixer.Linformer;
    require(!isLinformer, "Linformer's attention has no recurrent form");
    HeadMixer.Favor favor = mixer instanceof HeadMixer.Favor own ? own : null;
    var softmax = mixer instanceof HeadMixer.Exact own ? own.attention() : null;
    boolean causal = favor == null ? softmax.causal() : favor.config().causal();
    require(causal, "attention that is not causal has no recurrent form");
    int exact = favor == null ? heads : favor.config().exactHeads();
    List<Part> parts = new ArrayList<>();
    if (exact > 0) {
      parts.add(new Part(new ExactAttention.Recurrence(exact, size, size), 0, exact));
    }
    if (exact < heads) {
      int rest = heads - exact;
      parts.add(new Part(favor.attention(tf).recurrent(rest, size, size), exact, rest));
    }
    return new RecurrentHeads(heads, parts);
  }

  /** Names of exact heads' states and of FAVOR+'s differ. */
  @Override
  public List<State> states() {
    return parts.stream().flatMap(part -> part.form().states().stream()).toList();
  }

  @Override
  public Advance extend(
      Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
    return joined(tf, states, more, (form, own, some) -> form.extend(tf, own, some, keyMask));
  }

  @Override
  public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
    return joined(tf, states, one, (form, own, some) -> form.step(tf, own, some));
  }

  private interface Advancing {
    Advance of(RecurrentForm form, List<Operand<TFloat32>> states, Projected some);
  }

  private Advance joined(
      Ops tf, List<Operand<TFloat32>> states, Projected all, Advancing advancing) {
    List<Advance> advances = new ArrayList<>();
    int at = 0;
    for (Part part : parts) {
      int end = at + part.form().states().size();
      var own = states == null ? null : states.subList(at, end);
      Projected some = all.some(tf, part.first(), part.count(), heads);
      advances.add(advancing.of(part.form(), own, some));
      at = end;
    }
    return parts.size() == 1
        ? advances.get(0)
        : new Advance(
            tf.concat(advances.stream().map(Advance::output).toList(), tf.constant(1)),
            advances.stream().flatMap(advance -> advance.states().stream()).toList());
  }
}
