"""Encoders of Model Garden (tf-models-no-deps 2.19, tf_keras 2.18) of other sizes and kinds: model_garden.zip."""
import os; os.environ['TF_USE_LEGACY_KERAS']='1'; os.environ['CUDA_VISIBLE_DEVICES']=''
import numpy as np, tensorflow as tf, json
from official.nlp.configs import encoders
from official.nlp import configs
tf.keras.utils.set_random_seed(3)
def build(kind, **kw):
    k=dict(vocab_size=37,hidden_size=24,num_layers=3,num_attention_heads=3,intermediate_size=40,max_position_embeddings=30,type_vocab_size=3); k.update(kw)
    if kind=='kernel':
        c=encoders.EncoderConfig(type='kernel',kernel=encoders.KernelEncoderConfig(**k))
    else:
        c=encoders.EncoderConfig(type='bert',bert=encoders.BertEncoderConfig(**k))
    return encoders.build_encoder(c)
cases={'k_relu':('kernel',dict(feature_transform='relu',num_random_features=10)),'k_elu':('kernel',dict(feature_transform='elu',num_random_features=0)),
 'k_begin':('kernel',dict(feature_transform='exp',num_random_features=7,begin_kernel=2)),'bert':('bert',{}) ,'k_first':('kernel',dict(num_random_features=9,norm_first=True)), 'b_first':('bert',dict(norm_first=True)),'k_one':('kernel',dict(num_random_features=9,num_layers=1))}
rng=np.random.default_rng(0)
for n,(kind,kw) in cases.items():
  try:
    m=build(kind,**kw)
    t=rng.integers(1,37,(2,11)).astype('int32'); mask=np.ones((2,11),'int32'); mask[1,7:]=0; ty=rng.integers(0,3,(2,11)).astype('int32')
    ins=dict(input_word_ids=t,input_mask=mask,input_type_ids=ty)
    m(ins)
    for v in m.trainable_variables: v.assign(v+rng.normal(0,.1,v.shape).astype('float32'))
    o=m(ins,training=False)
    d=f'model_garden/{n}'; os.makedirs(d,exist_ok=True)
    np.savez(d+'/expected.npz',sequence=o['sequence_output'].numpy(),pooled=o['pooled_output'].numpy(),tokens=t,mask=mask,types=ty)
    tf.train.Checkpoint(encoder=m).save(d+'/ckpt')
    m.save_weights(d+'/w.h5'); 
    try: m.save(d+'/m.keras')
    except Exception as e: print(n,'keras',repr(e)[:200])
    try: m.save(d+'/m.h5')
    except Exception as e: print(n,'h5',repr(e)[:200])
    print(n,'ok')
  except Exception as e: print(n,repr(e)[:300])
